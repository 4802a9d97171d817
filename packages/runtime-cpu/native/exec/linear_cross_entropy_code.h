// The head of a language model with its loss, chunk by chunk: scores of a chunk, their losses and slopes in place, then
// what the slopes give to the input and the weight. Threads share out tiles of each product, and rows between them.
#pragma once

#include "exec/kernel_code.h"

namespace weft::cpu {

class LinearCrossEntropyCode final : public KernelCode {
 public:
  LinearCrossEntropyCode(const plan::LinearCrossEntropyKernel& kernel, const KernelTable& kernels);
  ScratchNeeds scratch_needs() const override { return {scratch_, 0}; }
  void execute(const StepBinding& step, Worker& worker) const noexcept override;

 private:
  struct Run;
  struct Product;
  Product scores_of(const Run& run) const;
  Product input_gradient_of(const Run& run) const;
  Product weight_gradient_of(const Run& run) const;
  void multiply(const Product& product, int64_t item, Worker& worker) const noexcept;
  void finish_rows(const Run& run, Worker& worker) const noexcept;

  const plan::LinearCrossEntropyKernel& kernel_;
  plan::PlanDtype input_ = {}, weight_ = {};
  size_t scratch_ = 0;
};

}  // namespace weft::cpu
