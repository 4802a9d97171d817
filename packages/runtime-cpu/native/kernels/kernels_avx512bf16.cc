// The kernels for AVX-512 with the bf16 dot instruction.
#include "vec_avx512.h"
#include "pair_dot_avx512bf16.h"
#include "byte_dot_vnni.h"
#include "tiles_none.h"
#include "all_kernels.h"

namespace weft::cpu {
extern const KernelTable avx512bf16_kernels;
const KernelTable avx512bf16_kernels = make_table("avx512bf16");
}  // namespace weft::cpu
