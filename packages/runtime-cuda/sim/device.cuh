// The simulator's twin of packages/compiler/cuda/device.cuh: the same names with the same meanings, in plain C++ for the
// compiler of the host. Views know their extent and whose memory they are, and every primitive takes the place of its
// call as a hidden last argument; the checks themselves lie in the simulator, behind a table of functions (table.h).
#pragma once

#include <source_location>

#include "table.h"
#include "types.cuh"

#define DEVICE static inline

#include "math.cuh"

static weft_sim::Table* weft_sim_table;
extern "C" unsigned weft_sim_attach(weft_sim::Table* table) {
  weft_sim_table = table;
  return weft_sim::version;
}

// Where a primitive was called: a last argument, filled in at the call.
using Here = std::source_location;
DEVICE const weft_sim::Place* place_of(Here here) { return __builtin_bit_cast(const weft_sim::Place*, here); }

DEVICE weft_sim::Thread* weft_sim_thread() { return weft_sim_table->current; }

DEVICE i32 thread_index() { return weft_sim_thread()->index; }
DEVICE i32 thread_count() { return weft_sim_thread()->count; }
DEVICE i32 lane_index() { return thread_index() & 31; }
DEVICE i32 warp_index() { return thread_index() >> 5; }
DEVICE i64 grid_index() { return weft_sim_thread()->block; }
DEVICE i64 grid_count() { return weft_sim_thread()->blocks; }

DEVICE void sync_block(Here here = Here::current()) { weft_sim_table->sync_block(weft_sim_thread(), place_of(here)); }
DEVICE void sync_warp(Here here = Here::current()) { weft_sim_table->sync_warp(weft_sim_thread(), place_of(here)); }

#include "exchange.cuh"
#include "memory.cuh"
#include "matrix.cuh"
#include "convert.cuh"

DEVICE void wait_for_inputs(Here here = Here::current()) {
  weft_sim_table->wait_for_inputs(weft_sim_thread(), place_of(here));
}
// The simulator runs one launch after the other; what is too early is found by `wait_for_inputs` alone.
DEVICE void let_next_start() {}

#define WEFT_KERNEL(name, threads, resident, slots)                                                  \
  static void weft_sim_run_##name(const void* raw) {                                                 \
    const Args<slots>& args = *static_cast<const Args<slots>*>(raw);                                 \
    const i64 blocks = name##_blocks(args);                                                          \
    if (grid_index() >= blocks) wait_for_inputs();                                                   \
    for (i64 block = grid_index(); block < blocks; block += grid_count()) {                          \
      if (block != grid_index()) sync_block();                                                       \
      name##_body(args, block);                                                                      \
    }                                                                                                \
  }                                                                                                  \
  extern "C" const weft_sim::Kernel weft_sim_kernel_##name;                                          \
  const weft_sim::Kernel weft_sim_kernel_##name = {threads, sizeof(Args<slots>), &weft_sim_run_##name};
