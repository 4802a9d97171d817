// The kernels for AVX-512 with an emulated bf16 dot instruction, for tests.
#include "vec_avx512.h"
#include "pair_dot_emulated.h"
#include "byte_dot_emulated.h"
#include "tiles_none.h"
#include "all_kernels.h"

namespace weft::cpu {
extern const KernelTable avx512bf16_emulated_kernels;
const KernelTable avx512bf16_emulated_kernels = make_table("avx512bf16-emulated");
}  // namespace weft::cpu
