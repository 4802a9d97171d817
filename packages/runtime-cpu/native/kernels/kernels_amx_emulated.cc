// The kernels for AVX-512 with an emulated bf16 dot instruction and an emulated AMX unit, for tests.
#include "vec_avx512.h"
#include "pair_dot_emulated.h"
#include "byte_dot_emulated.h"
#include "tiles_emulated.h"
#include "all_kernels.h"

namespace weft::cpu {
extern const KernelTable amx_emulated_kernels;
const KernelTable amx_emulated_kernels = make_table("amx-emulated");
}  // namespace weft::cpu
