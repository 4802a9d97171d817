// The kernels for AVX-512 with the dot instruction of bytes: NVFP4 is multiplied in whole numbers, all else is the table
// for AVX-512.
#include "vec_avx512.h"
#include "pair_dot_none.h"
#include "byte_dot_vnni.h"
#include "tiles_none.h"
#include "all_kernels.h"

namespace weft::cpu {
extern const KernelTable avx512_kernels;
extern const KernelTable avx512vnni_kernels;
const KernelTable avx512vnni_kernels = [] {
  KernelTable table = avx512_kernels;
  table.name = "avx512vnni";
  set_nvfp4_products(table);
  return table;
}();
}  // namespace weft::cpu
