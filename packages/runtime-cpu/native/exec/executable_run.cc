// One run of a program by the team.
#include <chrono>
#include <utility>

#include "error.h"
#include "exec/allocation_watch.h"
#include "exec/executable.h"

namespace weft::cpu {

namespace {

using Clock = std::chrono::steady_clock;

// Takes one thread's times of a run; does nothing where none are wanted.
class StepClock {
 public:
  StepClock(RunTimes* times, size_t thread, Clock::time_point began) noexcept
      : times_(times), thread_(thread), began_(began), left_(times ? now() : 0) {}

  void begin(const Worker& worker) noexcept {
    if (!times_) return;
    span(worker).begin = left_;
    waited_before_ = worker.waited();
  }
  void end(const Worker& worker) noexcept {
    if (!times_) return;
    span(worker).end = now();
    span(worker).waited = worker.waited() - waited_before_;
  }
  // Behind the barrier that ends the step: the next one begins.
  void leave(const Worker& worker) noexcept {
    if (!times_) return;
    const int64_t before = std::exchange(left_, now());
    if (thread_ == 0) times_->steps[static_cast<size_t>(worker.step)] = left_ - before;
  }

 private:
  int64_t now() const noexcept {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - began_).count();
  }
  StepSpan& span(const Worker& worker) const noexcept { return times_->span(thread_, static_cast<size_t>(worker.step)); }

  RunTimes* const times_;
  const size_t thread_;
  const Clock::time_point began_;
  int64_t left_;  // when the barrier before was left
  int64_t waited_before_ = 0;
};

}  // namespace

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
  const Clock::time_point began = Clock::now();
  pool.run([&](int thread) noexcept {
    const AllocationWatch watch;
    Worker worker(pool, team_, compiled_.kernels, thread, run.symbols,
                  own + compiled_.scratch.per_thread * static_cast<size_t>(thread), shared, stop_, run.times != nullptr);
    StepClock clock(run.times, static_cast<size_t>(thread), began);
    for (size_t i = 0; i < steps.size(); ++i) {
      worker.step = static_cast<int>(i);
      clock.begin(worker);
      compiled_.code[static_cast<size_t>(planned.steps[i].kernel)]->execute(steps[i], worker);
      clock.end(worker);
      // A halt inside a step is met again here, for all members alike.
      if (worker.barrier()) return;
      clock.leave(worker);
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
