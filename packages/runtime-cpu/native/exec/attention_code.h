// Attention kernels. The kernel library wants f32 queries and results with contiguous heads; what lies otherwise is
// copied by way of shared scratch.
#pragma once

#include "exec/kernel_code.h"

namespace weft::cpu {

class AttentionCode final : public KernelCode {
 public:
  // Throws Error when keys and values differ in dtype.
  AttentionCode(const plan::AttentionKernel& kernel, const plan::SymbolBounds& bounds, const KernelTable& kernels);
  ScratchNeeds scratch_needs() const override { return {per_thread_, shared_}; }
  void execute(const StepBinding& step, Worker& worker) const noexcept override;

 private:
  bool is_plain(const plan::HeadsAccess& access) const;
  plan::PlanDtype dtype_of(const plan::HeadsAccess& access) const;
  AttentionArguments arguments(int64_t queries, int64_t keys, int64_t past) const;
  // Copies rows of heads between a slot and a dense f32 area, shared out over the team.
  void copy_heads(const StepBinding& step, Worker& worker, const plan::HeadsAccess& access, float* dense,
                  int64_t queries, bool to_slot) const noexcept;

  const plan::AttentionKernel& kernel_;
  const KernelTable& kernels_;
  size_t query_ = 0, output_ = 0, partials_ = 0, shared_ = 0, per_thread_ = 0;
};

}  // namespace weft::cpu
