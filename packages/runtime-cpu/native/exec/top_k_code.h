// Top-k kernels: the largest elements of each row with their indices. Rows are shared out over the team.
#pragma once

#include "exec/kernel_code.h"

namespace weft::cpu {

class TopKCode final : public KernelCode {
 public:
  explicit TopKCode(const plan::TopKKernel& kernel);
  ScratchNeeds scratch_needs() const override { return {}; }
  void execute(const StepBinding& step, Worker& worker) const noexcept override;

 private:
  const plan::TopKKernel& kernel_;
};

}  // namespace weft::cpu
