// Contract kernels: sums of products over any strides. The route of plans that were not fused, and of what no matmul
// can express; correct first, vectorised where strides allow.
#pragma once

#include "exec/kernel_code.h"

namespace weft::cpu {

class ContractCode final : public KernelCode {
 public:
  explicit ContractCode(const plan::ContractKernel& kernel);
  ScratchNeeds scratch_needs() const override;
  void execute(const StepBinding& step, Worker& worker) const noexcept override;

 private:
  struct Run;
  void block(const Run& run, Worker& worker, const int64_t* indices, int64_t count) const noexcept;

  const plan::ContractKernel& kernel_;
};

}  // namespace weft::cpu
