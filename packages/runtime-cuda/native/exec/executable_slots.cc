// The two phases of a run, and the slots of page-locked memory that let the next runs of a steady program be put on the
// stream before the first has ended: a device that is done with one finds the next one there.
#include <cstring>

#include "error.h"
#include "exec/executable.h"

namespace weft::cuda {

char* Executable::input_data(size_t program, size_t port, size_t slot) const {
  return staging_.at(layout_.slot_at(slot) + layout_.input_staging[program][port]);
}

const char* Executable::output_data(size_t program, size_t port, size_t slot) const {
  return staging_.at(layout_.slot_at(slot) + layout_.output_staging[program][port]);
}

void Executable::check(const Run& run) {
  gpu_->require_alive();
  const plan::PlanProgram& program = plan().programs[run.program];
  check_indices(plan(), run.program, gathers_[run.program].checks, run.symbols, [&](int64_t buffer) {
    for (size_t i = 0; i < program.inputs.size(); ++i)
      if (program.inputs[i].buffer == buffer) return static_cast<const char*>(input_data(run.program, i, run.slot));
    throw Error("buffer " + plan().buffers[static_cast<size_t>(buffer)].name + " is no input of " + program.name);
  });
}

void Executable::put(const Run& run) {
  int32_t* values = reinterpret_cast<int32_t*>(staging_.at(layout_.slot_at(run.slot)));
  for (size_t i = 0; i < plan().symbols.size(); ++i) values[i] = static_cast<int32_t>(run.symbols[i]);
  try {
    put_inputs(run);
    if (run.times) put_timed_calls(run);
    else if (layout_.is_steady[run.program] && !gpu_->options().wait_for_each_launch) put_graph(run);
    else put_calls(run, Grid::now);
    // What was ended early has nothing to give.
    if (!stop_.load()) put_outputs(run);
    gpu_->check(gpu_->driver().record_event(slots_[run.slot].done.get(), gpu_->stream()), "cuEventRecord",
                [&] { return "running " + plan().programs[run.program].name; });
  } catch (...) {
    // What was put on the stream before the failure still uses the memory.
    gpu_->drain();
    forget_fault(run.program);
    throw;
  }
}

bool Executable::finish(const Run& run, const Interrupted& interrupted) {
  Slot& slot = slots_[run.slot];
  const auto where = [&] { return (run.times ? "profiling " : "running ") + plan().programs[run.program].name; };
  if (!slot.awaited_since) slot.awaited_since = Clock::now();
  try {
    if (!gpu_->wait(slot.done.get(), *slot.awaited_since, interrupted, where)) return false;
    slot.awaited_since.reset();
    if (stop_.load()) throw_ended();
    if (run.times) read_times(run);
    check_fault(run);
    return true;
  } catch (...) {
    slot.awaited_since.reset();
    // Runs that were put behind this one use the memory, and add to its report.
    gpu_->drain();
    forget_fault(run.program);
    throw;
  }
}

void Executable::read_times(const Run& run) {
  // Marks follow the steps; each begins where the one before has ended, so times add up.
  size_t mark = 0;
  int64_t now = 0;
  for (size_t step = 0; step < run.times->steps.size(); ++step) {
    StepSpan& span = run.times->span(0, step);
    span.begin = now;
    for (; mark < marked_steps_.size() && marked_steps_[mark] == static_cast<int64_t>(step); ++mark) {
      float milliseconds = 0;
      gpu_->check(gpu_->driver().elapsed(milliseconds, marks_[mark].get(), marks_[mark + 1].get()), "cuEventElapsedTime",
                  [&] { return "profiling " + plan().programs[run.program].name; });
      now += static_cast<int64_t>(static_cast<double>(milliseconds) * 1e6);
    }
    span.end = now;
    run.times->steps[step] = now - span.begin;
  }
}

void Executable::check_fault(const Run& run) const {
  if (!gathers_[run.program].has_computed) return;
  GatherFault fault;
  std::memcpy(&fault, staging_.at(layout_.slot_at(run.slot) + layout_.fault_staging), sizeof fault);
  if (fault.count > 0) throw_gather_fault(plan(), run.program, fault.step, fault.index, fault.bound);
}

void Executable::forget_fault(size_t program) noexcept {
  // On a lost device the call fails as any other would; nothing runs there any more.
  if (gathers_[program].has_computed)
    gpu_->driver().fill(control_.at(layout_.fault_at), 0, sizeof(GatherFault), gpu_->stream());
}

void Executable::finish_all(const std::string& what) {
  const auto where = [&] { return what; };
  // Waiting for each launch, a run may still be under way in this slot: its event then comes later, with this launch.
  gpu_->check(gpu_->driver().record_event(slots_.front().done.get(), gpu_->stream()), "cuEventRecord", where);
  gpu_->wait(slots_.front().done.get(), where);
}

}  // namespace weft::cuda
