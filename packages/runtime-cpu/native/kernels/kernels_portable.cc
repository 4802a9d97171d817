// The kernels for any processor.
#include "vec_portable.h"
#include "pair_dot_none.h"
#include "byte_dot_none.h"
#include "tiles_none.h"
#include "all_kernels.h"

namespace weft::cpu {
extern const KernelTable portable_kernels;
const KernelTable portable_kernels = make_table("portable");
}  // namespace weft::cpu
