#include "primitives.h"

namespace weft::cuda::sim {

weft_sim::Table primitive_table() {
  weft_sim::Table table = {};
  table.version = weft_sim::version;
  add_accesses(table);
  add_collectives(table);
  add_copies(table);
  return table;
}

}  // namespace weft::cuda::sim
