#include "exec/executable.h"

#include <algorithm>

#include "error.h"

namespace weft::cpu {
namespace {

Arena allocate(size_t bytes, const char* what) { return Arena(bytes, what); }

const std::vector<plan::Slot>& slots_of(const plan::Kernel& kernel) {
  return std::visit([](const auto& kind) -> const std::vector<plan::Slot>& { return kind.slots; }, kernel);
}

// Memory that two buffers share. Weights share none; other buffers lie in the arena of their class.
bool overlap(const plan::PlanBuffer& a, const plan::PlanBuffer& b) {
  return a.class_ == b.class_ && a.class_ != plan::BufferClass::weights && a.offset < b.offset + b.bytes &&
         b.offset < a.offset + a.bytes;
}

}  // namespace

CompiledPlan::CompiledPlan(std::shared_ptr<const PreparedPlan> source, const KernelTable& table, int team)
    : prepared(std::move(source)), kernels(table), threads(team) {
  for (const plan::Kernel& kernel : prepared->plan.kernels) {
    code.push_back(compile_kernel(kernel, prepared->bounds, kernels, threads));
    const ScratchNeeds needs = code.back()->scratch_needs();
    scratch.per_thread = std::max(scratch.per_thread, aligned_size(needs.per_thread));
    scratch.shared = std::max(scratch.shared, aligned_size(needs.shared));
  }
}

MemoryTable CompiledPlan::memory(const WeightSizes& weights) const {
  const plan::PlanMemory& planned = prepared->plan.memory;
  MemoryTable table;
  table.weights_mapped = weights.mapped;
  table.weights_copied = weights.copied;
  table.state = static_cast<size_t>(planned.state);
  table.activations = static_cast<size_t>(planned.activations);
  table.input = static_cast<size_t>(planned.input);
  table.output = static_cast<size_t>(planned.output);
  table.scratch_shared = scratch.shared;
  table.scratch_per_thread = scratch.per_thread;
  table.threads = static_cast<size_t>(threads);
  return table;
}

namespace {

// The gate before any allocation.
std::vector<WeightOrigin> admitted(const CompiledPlan& compiled, std::vector<WeightOrigin> weights,
                                   const LoadOptions& options) {
  const MemoryTable table = compiled.memory(weight_sizes(weights));
  if (options.memory_limit > 0 && table.total() > options.memory_limit)
    throw Error("[memory] the plan " + compiled.prepared->plan.name + " needs " + std::to_string(table.total()) +
                " bytes, the limit is " + std::to_string(options.memory_limit) + ":" + table.text());
  return weights;
}

}  // namespace

Executable::Executable(CompiledPlan compiled, std::vector<WeightOrigin> weights, const LoadOptions& options,
                       std::shared_ptr<ThreadPool> pool)
    : compiled_(std::move(compiled)), options_(options), pool_(std::move(pool)),
      weights_(admitted(compiled_, std::move(weights), options_), compiled_.kernels),
      state_(allocate(static_cast<size_t>(plan().memory.state), "state")),
      activations_(allocate(static_cast<size_t>(plan().memory.activations), "activations")),
      input_(allocate(static_cast<size_t>(plan().memory.input), "input")),
      output_(allocate(static_cast<size_t>(plan().memory.output), "output")),
      scratch_(allocate(compiled_.scratch.shared + compiled_.scratch.per_thread * static_cast<size_t>(compiled_.threads),
                        "scratch")),
      gathers_(gathers(plan())) {}

void Executable::load() {
  weights_.load(*pool_, compiled_.kernels, options_.check_finite, stop_);
  bind_steps();
}

MemoryTable Executable::memory() const {
  MemoryTable table;
  table.weights_mapped = weights_.sizes().mapped;
  table.weights_copied = weights_.sizes().copied;
  table.state = state_.bytes();
  table.activations = activations_.bytes();
  table.input = input_.bytes();
  table.output = output_.bytes();
  table.threads = static_cast<size_t>(compiled_.threads);
  table.scratch_per_thread = compiled_.scratch.per_thread;
  table.scratch_shared = scratch_.bytes() - table.scratch_per_thread * table.threads;
  return table;
}

char* Executable::buffer(int64_t index) const {
  const plan::PlanBuffer& buffer = plan().buffers[static_cast<size_t>(index)];
  switch (buffer.class_) {
    // Never written: validation refuses steps that would.
    case plan::BufferClass::weights: return const_cast<char*>(weights_.data(static_cast<size_t>(index)));
    case plan::BufferClass::state: return state_.data() + buffer.offset;
    case plan::BufferClass::activations: return activations_.data() + buffer.offset;
    case plan::BufferClass::input: return input_.data() + buffer.offset;
    case plan::BufferClass::output: return output_.data() + buffer.offset;
  }
  return nullptr;
}

void Executable::bind_steps() {
  for (const plan::PlanProgram& program : plan().programs) {
    std::vector<StepBinding> bindings;
    for (const plan::PlanStep& step : program.steps) {
      const plan::Kernel& kernel = plan().kernels[static_cast<size_t>(step.kernel)];
      const std::vector<plan::Slot>& slots = slots_of(kernel);
      StepBinding binding;
      for (size_t slot = 0; slot < slots.size(); ++slot) {
        const plan::PlanBuffer& mine = plan().buffers[static_cast<size_t>(step.bindings[slot])];
        BoundSlot bound{buffer(step.bindings[slot]), false};
        for (size_t other = 0; other < slots.size(); ++other)
          if (slots[other].access != plan::SlotAccess::read &&
              overlap(mine, plan().buffers[static_cast<size_t>(step.bindings[other])]))
            bound.is_written = true;
        binding.slots.push_back(bound);
      }
      bindings.push_back(std::move(binding));
    }
    steps_.push_back(std::move(bindings));
  }
}

}  // namespace weft::cpu
