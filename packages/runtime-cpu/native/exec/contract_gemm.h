// Contractions as matrix products: tiles of the result are shared out over the team, each multiplied by the panels of
// the kernel library. An element of the result is the same sum whatever the tile it lies in.
#pragma once

#include "exec/contract_shape.h"
#include "exec/kernel_code.h"

namespace weft::cpu {

class ContractGemm {
 public:
  explicit ContractGemm(const plan::ContractKernel& kernel, const KernelTable& kernels);
  size_t scratch_bytes() const { return scratch_; }
  // Whether the product is large enough in both directions that packing its operands pays.
  bool fits(const ContractShape& shape) const;
  void execute(const ContractShape& shape, const StepBinding& step, Worker& worker) const noexcept;

 private:
  struct Run;
  struct Tile;
  void multiply(const Run& run, const Tile& tile, Worker& worker) const noexcept;

  const plan::ContractKernel& kernel_;
  plan::PlanDtype a_ = {}, b_ = {}, out_ = {};
  size_t products_ = 0, scratch_ = 0;
};

}  // namespace weft::cpu
