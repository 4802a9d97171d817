// One run of a program by the team.
#include <chrono>
#include <cmath>

#include "error.h"
#include "exec/allocation_watch.h"
#include "exec/executable.h"
#include "row/convert_dtype.h"
#include "validate.h"

namespace weft::cpu {
namespace {

std::string shown(float value) {
  const bool is_integer = std::abs(value) < 1e18f && value == std::trunc(value);
  return is_integer ? std::to_string(static_cast<int64_t>(value)) : std::to_string(value);
}

}  // namespace

void Executable::run(ThreadPool& pool, size_t program, const int64_t* symbols, int64_t* times) {
  check_indices(program, symbols);
  team_.fault.clear();
  team_.counters[0].reset();
  team_.counters[1].reset();
  char* shared = scratch_.data();
  char* own = shared + compiled_.scratch.shared;
  const plan::PlanProgram& planned = plan().programs[program];
  const std::vector<StepBinding>& steps = steps_[program];
  AllocationWatch::begin();
  pool.run([&](int thread) noexcept {
    const AllocationWatch watch;
    Worker worker(pool, team_, compiled_.kernels, thread, symbols,
                  own + compiled_.scratch.per_thread * static_cast<size_t>(thread), shared, stop_);
    auto before = std::chrono::steady_clock::now();
    for (size_t i = 0; i < steps.size(); ++i) {
      worker.step = static_cast<int>(i);
      compiled_.code[static_cast<size_t>(planned.steps[i].kernel)]->execute(steps[i], worker);
      // A halt inside a step is met again here, for all members alike.
      if (worker.barrier()) return;
      if (times && thread == 0) {
        const auto now = std::chrono::steady_clock::now();
        times[i] = std::chrono::duration_cast<std::chrono::nanoseconds>(now - before).count();
        before = now;
      }
    }
  });
  AllocationWatch::end();
  if (stop_.load()) throw Error("the run was ended: its executable or device was disposed");
  if (team_.fault.is_set.load()) report_fault(program);
}

void Executable::check_indices(size_t program, const int64_t* symbols) const {
  for (const IndexCheck& check : index_checks_[program]) {
    const plan::Access& access = check.index->access;
    const plan::PlanBuffer& source = plan().buffers[static_cast<size_t>(check.buffer)];
    const int64_t width = plan::element_bytes(source.dtype);
    int64_t rows = 1;
    int64_t extents[row_loops_limit] = {};
    const size_t loops = check.program->loops.size();
    for (size_t i = 0; i < loops; ++i) rows *= extents[i] = plan::evaluate(check.program->loops[i].extent, symbols);
    const int64_t offset = plan::evaluate(access.offset, symbols);
    for (int64_t row = 0; row < rows; ++row) {
      int64_t element = offset, rest = row;
      for (size_t i = loops; i-- > 0;) {
        element += access.strides[i] * (rest % extents[i]);
        rest /= extents[i];
      }
      const float value = read_element(buffer(check.buffer) + element * width, source.dtype);
      if (value >= 0.0f && value < static_cast<float>(check.bound)) continue;
      throw Error("input " + source.name + ": value " + shown(value) + " at index " + std::to_string(element) +
                  " must be 0 to " + std::to_string(check.bound - 1) + " (" + step_name(program, check.step) + ")");
    }
  }
}

void Executable::report_fault(size_t program) const {
  const GatherFault& fault = team_.fault;
  throw Error("a row of a table was asked for by index " + shown(fault.index) + ", which must be 0 to " +
              std::to_string(fault.bound - 1) + " (" + step_name(program, static_cast<size_t>(fault.step)) +
              ", instruction " + std::to_string(fault.instruction) + "); the state may hold a part of this run");
}

}  // namespace weft::cpu
