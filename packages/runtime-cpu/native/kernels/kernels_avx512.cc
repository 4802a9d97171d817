// The kernels for AVX-512 (F, BW, DQ, VL).
#include "vec_avx512.h"
#include "pair_dot_none.h"
#include "byte_dot_none.h"
#include "tiles_none.h"
#include "all_kernels.h"

namespace weft::cpu {
extern const KernelTable avx512_kernels;
const KernelTable avx512_kernels = make_table("avx512");
}  // namespace weft::cpu
