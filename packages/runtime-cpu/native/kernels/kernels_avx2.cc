// The kernels for AVX2, FMA and F16C.
#include "vec_avx2.h"
#include "pair_dot_none.h"
#include "byte_dot_none.h"
#include "tiles_none.h"
#include "all_kernels.h"

namespace weft::cpu {
extern const KernelTable avx2_kernels;
const KernelTable avx2_kernels = make_table("avx2");
}  // namespace weft::cpu
