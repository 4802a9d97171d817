// The functions behind the table that modules call.
#pragma once

#include "run.h"

namespace weft::cuda::sim {

weft_sim::Table primitive_table();

// Grouped as the files that define them.
void add_accesses(weft_sim::Table& table);
void add_collectives(weft_sim::Table& table);
void add_copies(weft_sim::Table& table);

// The checks of one access; they end the launch where they find a mistake.
void check_read(ThreadRun& thread, MemoryBuffer& buffer, uint64_t offset, unsigned bytes, bool fresh,
                const weft_sim::Place* place);
void check_write(ThreadRun& thread, MemoryBuffer& buffer, uint64_t offset, unsigned bytes, Stamp write,
                 const weft_sim::Place* place);

}  // namespace weft::cuda::sim
