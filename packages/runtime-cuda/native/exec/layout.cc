#include "exec/layout.h"

#include <algorithm>

#include "driver/matmul_library.h"
#include "node/port_layout.h"

namespace weft::cuda {
namespace {

bool has_fixed_sizes(const std::vector<plan::PlanPort>& ports) {
  return std::all_of(ports.begin(), ports.end(), [](const plan::PlanPort& port) {
    return std::all_of(port.shape.begin(), port.shape.end(), is_constant);
  });
}

// Up to the end of what a port of fixed sizes uses of its buffer.
size_t used_bytes(const plan::PlanPort& port, const plan::PlanBuffer& buffer, size_t symbols) {
  size_t elements = 0;
  const std::vector<int64_t> any(symbols, 0);
  each_run(port, buffer, any.data(), [&](size_t element, size_t, size_t count) { elements = std::max(elements, element + count); });
  return elements * static_cast<size_t>(plan::element_bytes(buffer.dtype));
}

}  // namespace

Layout::Layout(const plan::Plan& plan, const plan::CudaPlan& cuda, bool by_library)
    : weight_offsets(plan.buffers.size(), 0), state(static_cast<size_t>(plan.memory.state)),
      activations(static_cast<size_t>(plan.memory.activations)), input(static_cast<size_t>(plan.memory.input)),
      output(static_cast<size_t>(plan.memory.output)), scratch(static_cast<size_t>(cuda.scratch_bytes)) {
  for (size_t i = 0; i < plan.buffers.size(); ++i) {
    if (plan.buffers[i].class_ != plan::BufferClass::weights) continue;
    weight_offsets[i] = weights;
    weights += aligned_size(static_cast<size_t>(plan.buffers[i].bytes));
  }
  if (by_library && has_library_steps(cuda)) {
    scratch = std::max(scratch, static_cast<size_t>(cuda.library_scratch_bytes));
    workspace = matmul_workspace_bytes;
  }
  symbol_bytes = plan.symbols.size() * sizeof(int32_t);
  ticket_bytes = static_cast<size_t>(cuda.tickets) * sizeof(uint32_t);
  tickets_at = aligned_size(symbol_bytes);
  fault_at = tickets_at + aligned_size(ticket_bytes);
  control = fault_at + aligned_size(sizeof(GatherFault));
  fault_staging = aligned_size(symbol_bytes);

  for (size_t i = 0; i < plan.programs.size(); ++i) {
    const plan::PlanProgram& program = plan.programs[i];
    const bool steady = !cuda.programs[i].launches.empty() && has_fixed_sizes(program.inputs) && has_fixed_sizes(program.outputs);
    is_steady.push_back(steady);
    size_t end = fault_staging + aligned_size(sizeof(GatherFault));
    const auto place = [&](const std::vector<plan::PlanPort>& ports, std::vector<size_t>& offsets) {
      for (const plan::PlanPort& port : ports) {
        const plan::PlanBuffer& buffer = plan.buffers[static_cast<size_t>(port.buffer)];
        offsets.push_back(end);
        // A buffer that a program of many rows shares may be much larger.
        end += aligned_size(steady ? used_bytes(port, buffer, plan.symbols.size()) : static_cast<size_t>(buffer.bytes));
      }
    };
    place(program.inputs, input_staging.emplace_back());
    place(program.outputs, output_staging.emplace_back());
    first_slot_bytes = std::max(first_slot_bytes, end);
    if (!steady) continue;
    next_slot_bytes = std::max(next_slot_bytes, end);
    slots = most_runs_ahead;
  }
}

MemoryTable Layout::table() const {
  MemoryTable table;
  table.weights_copied = weights;
  table.state = state;
  table.activations = activations;
  table.input = input;
  table.output = output;
  table.scratch_shared = scratch + workspace;
  table.control = control;
  table.pinned = pinned();
  return table;
}

bool has_library_steps(const plan::CudaPlan& cuda) {
  return std::any_of(cuda.programs.begin(), cuda.programs.end(),
                     [](const plan::CudaProgram& program) { return !program.library_steps.empty(); });
}

bool uses_nvfp4(const plan::CudaLibraryStep& step) {
  return std::any_of(step.products.begin(), step.products.end(), [](const plan::CudaProduct& product) { return !product.scales.empty(); });
}

bool uses_nvfp4(const plan::CudaPlan& cuda) {
  return std::any_of(cuda.programs.begin(), cuda.programs.end(), [](const plan::CudaProgram& program) {
    return std::any_of(program.library_steps.begin(), program.library_steps.end(),
                       [](const plan::CudaLibraryStep& step) { return uses_nvfp4(step); });
  });
}

bool is_constant(const plan::Affine& affine) {
  return std::all_of(affine.terms.begin(), affine.terms.end(), [](const plan::AffineTerm& term) { return term.factor == 0; });
}

}  // namespace weft::cuda
