// The kernels for AVX-512 with the bf16 dot instruction and the AMX unit.
#include "vec_avx512.h"
#include "pair_dot_avx512bf16.h"
#include "byte_dot_vnni.h"
#include "tiles_amx.h"
#include "all_kernels.h"

namespace weft::cpu {
extern const KernelTable amx_kernels;
const KernelTable amx_kernels = make_table("amx");
}  // namespace weft::cpu
