// A plan loaded: memory allocated, weights bound, kernels compiled. Inputs and outputs lie where the kernels use them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "exec/kernel_code.h"
#include "loaded/index_checks.h"
#include "loaded/loaded_plan.h"
#include "memory/arena.h"
#include "memory/weights.h"

namespace weft::cpu {

// The kernels of a plan compiled for one instruction set and team size: sizes are known, nothing is allocated.
struct CompiledPlan {
  CompiledPlan(std::shared_ptr<const PreparedPlan> prepared, const KernelTable& kernels, int threads);
  MemoryTable memory(const WeightSizes& weights) const;

  std::shared_ptr<const PreparedPlan> prepared;
  const KernelTable& kernels;
  int threads;
  std::vector<std::unique_ptr<KernelCode>> code;
  ScratchNeeds scratch;
};

class Executable final : public LoadedPlan {
 public:
  // Refuses, with the table, what does not fit the limit, then allocates. Copies weights that lie in memory.
  Executable(CompiledPlan compiled, std::vector<WeightOrigin> weights, const LoadOptions& options,
             std::shared_ptr<ThreadPool> pool);
  // The rest of loading, by the team. Throws Error.
  void load();

  const PreparedPlan& prepared() const override { return *compiled_.prepared; }
  MemoryTable memory() const override;
  size_t lanes() const override { return static_cast<size_t>(compiled_.threads); }

  char* input_data(size_t program, size_t port, size_t) const override {
    return buffer(plan().programs[program].inputs[port].buffer);
  }
  const char* output_data(size_t program, size_t port, size_t) const override {
    return buffer(plan().programs[program].outputs[port].buffer);
  }

  void check(const Run& run) override;
  // Executes the run: there is nothing left to finish. Throws Error when a gather index is out of range or the run was
  // stopped. Allocates nothing unless it throws.
  void put(const Run& run) override;
  bool finish(const Run&, const Interrupted&) override { return true; }

  void save_state(size_t begin, size_t bytes, char* to) override;
  void restore_state(size_t begin, size_t bytes, const char* from) override;
  void reset_state() override;
  void shift_state(int64_t count) override;

 private:
  char* buffer(int64_t index) const;
  void bind_steps();
  [[noreturn]] void report_fault(size_t program) const;

  CompiledPlan compiled_;
  LoadOptions options_;
  std::shared_ptr<ThreadPool> pool_;
  Weights weights_;
  Arena state_, activations_, input_, output_, scratch_;
  std::vector<std::vector<StepBinding>> steps_;  // by program
  std::vector<ProgramGathers> gathers_;
  TeamState team_;
};

}  // namespace weft::cpu
