// Where everything of a loaded plan lies, on the device and in the page-locked memory of the host, computed before
// anything is allocated.
#pragma once

#include <vector>

#include "cuda_plan_generated.h"
#include "loaded/memory_table.h"
#include "loaded/prepared_plan.h"

namespace weft::cuda {

// `Args::fault` of packages/compiler/cuda/types.cuh.
struct GatherFault {
  uint32_t count;
  uint32_t step;
  float index;
  uint32_t bound;
};

// Runs of a steady program that may be under way at a time. One is in execution and the next one ready; two more give the
// host time to take results and to give inputs.
inline constexpr size_t most_runs_ahead = 4;

// Every buffer begins at a multiple of this.
inline constexpr size_t alignment = 256;
inline constexpr size_t aligned_size(size_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

struct Layout {
  // `by_library`: with what the library's way of its steps needs.
  Layout(const plan::Plan& plan, const plan::CudaPlan& cuda, bool by_library);

  // Of weights buffers, in their arena; by buffer.
  std::vector<size_t> weight_offsets;
  size_t weights = 0;
  size_t state = 0;
  size_t activations = 0;
  size_t input = 0;
  size_t output = 0;
  size_t scratch = 0;
  // Of a library's products, on the device.
  size_t workspace = 0;
  // i32 values of the plan's symbols, and after them the u32 counters.
  size_t symbol_bytes = 0;
  size_t tickets_at = 0;
  size_t ticket_bytes = 0;
  // What a run reports of gather indices: after the counters, and in page-locked memory after the symbols.
  size_t fault_at = 0;
  size_t fault_staging = 0;
  size_t control = 0;

  // By program: whether every run puts the same work on the stream, because the sizes of its ports do not depend on
  // symbols. Such runs are worth a graph, and may be under way one behind the other.
  std::vector<bool> is_steady;
  // Page-locked, in slots: the symbols, the report of gather indices, then the ports of one program; programs share the
  // room, and offsets are the same in every slot. The first slot has room for all programs, the others for steady ones.
  std::vector<std::vector<size_t>> input_staging;
  std::vector<std::vector<size_t>> output_staging;
  size_t slots = 1;
  size_t first_slot_bytes = 0;
  size_t next_slot_bytes = 0;
  size_t slot_at(size_t slot) const { return slot == 0 ? 0 : first_slot_bytes + (slot - 1) * next_slot_bytes; }
  size_t pinned() const { return slot_at(slots); }

  MemoryTable table() const;
};

// Whether any step can be executed by a library's products.
bool has_library_steps(const plan::CudaPlan& cuda);

// Whether a step's products are of NVFP4 matrices, for units that multiply them.
bool uses_nvfp4(const plan::CudaLibraryStep& step);
bool uses_nvfp4(const plan::CudaPlan& cuda);

// Whether the expression has the same value whatever the symbols.
bool is_constant(const plan::Affine& affine);

}  // namespace weft::cuda
