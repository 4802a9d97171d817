// Scatter-add kernels: rows of the result begin as zeros or as what they are added onto, then the updates are added in
// the order of their positions. Columns are shared out over the team, so a sum never depends on the number of threads.
#pragma once

#include "exec/kernel_code.h"

namespace weft::cpu {

class ScatterAddCode final : public KernelCode {
 public:
  explicit ScatterAddCode(const plan::ScatterAddKernel& kernel) : kernel_(kernel) {}
  ScratchNeeds scratch_needs() const override { return {}; }
  void execute(const StepBinding& step, Worker& worker) const noexcept override;

 private:
  struct Run;
  void begin_rows(const StepBinding& step, Worker& worker, const Run& run) const noexcept;
  void add_columns(const StepBinding& step, Worker& worker, const Run& run) const noexcept;

  const plan::ScatterAddKernel& kernel_;
};

}  // namespace weft::cpu
