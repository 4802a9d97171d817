// Which accesses happen before which, and the conflicts that this leaves.
#pragma once

#include "run.h"

namespace weft::cuda::sim {

// Whether an earlier access is ordered before what the thread does now.
bool ordered(const ThreadRun& thread, const MemoryBuffer& buffer, uint64_t offset, Stamp earlier);
// Remembers a read, so that every later write that conflicts with some read is found by those remembered.
void note_read(const ThreadRun& thread, const MemoryBuffer& buffer, uint64_t offset, Record& record, Stamp read);

// An atomic operation publishes what the thread fenced, and learns what others published in the same cell.
void meet_in_cell(ThreadRun& thread, uint64_t address);

}  // namespace weft::cuda::sim
