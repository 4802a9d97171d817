// One run of a program by the team.
#include <chrono>

#include "error.h"
#include "exec/allocation_watch.h"
#include "exec/executable.h"

namespace weft::cpu {

void Executable::check(const Run& run) {
  check_indices(plan(), run.program, gathers_[run.program].checks, run.symbols, [this](int64_t index) { return buffer(index); });
}

void Executable::put(const Run& run) {
  ThreadPool& pool = *pool_;
  team_.fault.clear();
  team_.counters[0].reset();
  team_.counters[1].reset();
  char* shared = scratch_.data();
  char* own = shared + compiled_.scratch.shared;
  const plan::PlanProgram& planned = plan().programs[run.program];
  const std::vector<StepBinding>& steps = steps_[run.program];
  AllocationWatch::begin();
  pool.run([&](int thread) noexcept {
    const AllocationWatch watch;
    Worker worker(pool, team_, compiled_.kernels, thread, run.symbols,
                  own + compiled_.scratch.per_thread * static_cast<size_t>(thread), shared, stop_);
    auto before = std::chrono::steady_clock::now();
    for (size_t i = 0; i < steps.size(); ++i) {
      worker.step = static_cast<int>(i);
      compiled_.code[static_cast<size_t>(planned.steps[i].kernel)]->execute(steps[i], worker);
      // A halt inside a step is met again here, for all members alike.
      if (worker.barrier()) return;
      if (run.times && thread == 0) {
        const auto now = std::chrono::steady_clock::now();
        run.times[i] = std::chrono::duration_cast<std::chrono::nanoseconds>(now - before).count();
        before = now;
      }
    }
  });
  AllocationWatch::end();
  if (stop_.load()) throw_ended();
  if (team_.fault.is_set.load()) report_fault(run.program);
}

void Executable::report_fault(size_t program) const {
  const GatherFault& fault = team_.fault;
  throw_gather_fault(plan(), program, static_cast<size_t>(fault.step), fault.index, fault.bound);
}

}  // namespace weft::cpu
