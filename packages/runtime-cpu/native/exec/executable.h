// A plan loaded: memory allocated, weights bound, kernels compiled. Everything a run needs exists before it.
//
// Threads: `start` reads inputs and `copy_output` reads outputs on the caller's thread, while nothing runs; the other
// functions that touch arenas belong to the dispatcher's thread.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "exec/kernel_code.h"
#include "exec/memory_table.h"
#include "exec/prepared_plan.h"
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

struct LoadOptions {
  size_t memory_limit = 0;  // bytes; 0: none
  bool check_finite = true;
};

class Executable {
 public:
  // Refuses, with the table, what does not fit the limit, then allocates. Copies weights that lie in memory.
  Executable(CompiledPlan compiled, std::vector<WeightOrigin> weights, const LoadOptions& options);
  // The rest of loading, by the team. Throws Error.
  void load(ThreadPool& pool);

  const plan::Plan& plan() const { return compiled_.prepared->plan; }
  const PreparedPlan& prepared() const { return *compiled_.prepared; }
  // As allocated.
  MemoryTable memory() const;

  char* buffer(int64_t index) const;

  // Executes one program with resolved symbols. `times`: nanoseconds per step, or nullptr. Throws Error when a gather
  // index is out of range or the run was stopped. Allocates nothing unless it throws.
  void run(ThreadPool& pool, size_t program, const int64_t* symbols, int64_t* times);

  // Ends a run early; the run throws.
  void stop() { stop_.store(true); }
  bool is_stopped() const { return stop_.load(); }

  char* state() const { return state_.data(); }
  size_t state_bytes() const { return state_.bytes(); }
  void reset_state(ThreadPool& pool);
  // Moves positions [count, ...) of every state buffer to the front along axis `axis` and clears the rest. Buffers
  // with fewer axes are left alone. Throws Error when a buffer has fewer than `count` positions.
  void drop_oldest(ThreadPool& pool, size_t axis, int64_t count);

 private:
  // A gather by values that the caller gives, checked before anything is written.
  struct IndexCheck {
    size_t step = 0;
    const plan::RowProgram* program = nullptr;
    const plan::LoadInstruction* index = nullptr;
    int64_t bound = 0;
    int64_t buffer = 0;
  };
  void bind_steps();
  void check_indices(size_t program, const int64_t* symbols) const;
  [[noreturn]] void report_fault(size_t program) const;
  std::string step_name(size_t program, size_t step) const;

  CompiledPlan compiled_;
  LoadOptions options_;
  Weights weights_;
  Arena state_, activations_, input_, output_, scratch_;
  std::vector<std::vector<StepBinding>> steps_;  // by program
  std::vector<std::vector<IndexCheck>> index_checks_;
  TeamState team_;
  std::atomic<bool> stop_{false};
};

}  // namespace weft::cpu
