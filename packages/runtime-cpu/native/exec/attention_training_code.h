// Attention of a training step, forward and backward: the items of the kernel library are shared out over the team.
#pragma once

#include "exec/kernel_code.h"

namespace weft::cpu {

class AttentionForwardCode final : public KernelCode {
 public:
  AttentionForwardCode(const plan::AttentionForwardKernel& kernel, const plan::SymbolBounds& bounds,
                       const KernelTable& kernels);
  ScratchNeeds scratch_needs() const override { return {scratch_, 0}; }
  void execute(const StepBinding& step, Worker& worker) const noexcept override;

 private:
  const plan::AttentionForwardKernel& kernel_;
  size_t scratch_ = 0;
};

class AttentionBackwardCode final : public KernelCode {
 public:
  AttentionBackwardCode(const plan::AttentionBackwardKernel& kernel, const plan::SymbolBounds& bounds,
                        const KernelTable& kernels);
  ScratchNeeds scratch_needs() const override { return {scratch_, 0}; }
  void execute(const StepBinding& step, Worker& worker) const noexcept override;

 private:
  const plan::AttentionBackwardKernel& kernel_;
  size_t scratch_ = 0;
};

}  // namespace weft::cpu
