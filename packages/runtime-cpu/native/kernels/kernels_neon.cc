// The kernels for 64-bit Arm.
#include "vec_neon.h"
#include "pair_dot_none.h"
#include "byte_dot_none.h"
#include "tiles_none.h"
#include "all_kernels.h"

namespace weft::cpu {
extern const KernelTable neon_kernels;
const KernelTable neon_kernels = make_table("neon");
}  // namespace weft::cpu
