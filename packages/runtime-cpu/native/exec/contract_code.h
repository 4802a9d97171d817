// Contract kernels: sums of products over any strides. The route of what no matmul can express, as the products of a
// backward pass, and of plans that were not fused.
#pragma once

#include "exec/contract_gemm.h"
#include "exec/kernel_code.h"

namespace weft::cpu {

class ContractCode final : public KernelCode {
 public:
  ContractCode(const plan::ContractKernel& kernel, const plan::SymbolBounds& bounds, const KernelTable& kernels);
  ScratchNeeds scratch_needs() const override;
  void execute(const StepBinding& step, Worker& worker) const noexcept override;

 private:
  struct Run;
  void block(const Run& run, Worker& worker, const int64_t* indices, int64_t count) const noexcept;

  const plan::ContractKernel& kernel_;
  ContractGemm gemm_;
};

}  // namespace weft::cpu
