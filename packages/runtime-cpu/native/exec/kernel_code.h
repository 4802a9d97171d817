// A kernel of the plan made ready to execute: one class per kind.
#pragma once

#include <memory>
#include <vector>

#include "affine_bounds.h"
#include "exec/worker.h"
#include "plan_generated.h"

namespace weft::cpu {

// Scratch memory in bytes that an execution needs at most.
struct ScratchNeeds {
  size_t per_thread = 0;
  size_t shared = 0;
};

// One step of a program: buffers bound to a kernel's slots.
struct StepBinding {
  std::vector<BoundSlot> slots;
};

class KernelCode {
 public:
  virtual ~KernelCode() = default;
  virtual ScratchNeeds scratch_needs() const = 0;
  // Called by all threads of the team; all of them pass the same barriers. Ends without a barrier.
  virtual void execute(const StepBinding& step, Worker& worker) const noexcept = 0;
};

// `kernel` is validated and must outlive the code.
std::unique_ptr<KernelCode> compile_kernel(const plan::Kernel& kernel, const plan::SymbolBounds& bounds,
                                           const KernelTable& kernels, int threads);

// The parts of scratch memory, each aligned for vectors.
class ScratchLayout {
 public:
  // The offset of the next `bytes`.
  size_t add(size_t bytes) {
    const size_t offset = bytes_;
    bytes_ += (bytes + 63) / 64 * 64;
    return offset;
  }
  size_t bytes() const { return bytes_; }

 private:
  size_t bytes_ = 0;
};

// A row program's share of a thread's scratch: registers and their values.
struct RowScratch {
  size_t registers = 0, values = 0;

  RowScratch() = default;
  RowScratch(ScratchLayout& layout, size_t operations, size_t floats)
      : registers(layout.add(operations * sizeof(RowRegister))), values(layout.add(floats * sizeof(float))) {}
  void prepare(RowRunner& runner, const RowCode& code, const StepBinding& step, Worker& worker) const {
    runner.prepare(code, step.slots.data(), worker.symbols, reinterpret_cast<RowRegister*>(worker.scratch + registers),
                   reinterpret_cast<float*>(worker.scratch + values), &worker.team.fault, worker.step);
  }
};

// Runs all rows of a prepared program, shared out over the team; for rows kernels and prologues. No barrier.
void run_all_rows(RowRunner& runner, const RowCode& code, Worker& worker) noexcept;

DType kernel_dtype(plan::PlanDtype dtype);

}  // namespace weft::cpu
