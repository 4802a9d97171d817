// Everything that is compiled once per instruction set, in order. The including file has already defined Vec,
// PairDot, ByteDot and Tiles. Only C headers: an inline function of the C++ library instantiated here could be merged by the linker with
// its copy from another file, and then run on a processor without these instructions.
#pragma once

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "e4m3.h"
#include "kernels.h"
#include "nvfp4_whole.h"
#include "unroll.h"
// clang-format off
#include "vector_math.h"
#include "row_kernels.h"
#include "reduce.h"
#include "convert.h"
#include "random.h"
#include "gemv.h"
#include "micro_kernel.h"
#include "pack.h"
#include "tile_gemm.h"
#include "nvfp4_decode.h"
#include "nvfp4_encode.h"
#include "e4m3_encode.h"
#include "nvfp4_tiles.h"
#include "nvfp4_operand.h"
#include "gemm.h"
#include "nvfp4_gemv.h"
#include "nvfp4_tile_gemm.h"
#include "nvfp4_gemm.h"
#include "nvfp4_whole_product.h"
#include "nvfp4_product.h"
#include "attention_decode.h"
#include "attention_prefill.h"
#include "attention_training.h"
#include "table.h"
// clang-format on
