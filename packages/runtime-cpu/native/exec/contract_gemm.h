// Contractions as matrix products: tiles of the result are shared out over the team, each multiplied by the panels of
// the kernel library. An element of the result is the same sum whatever the tile it lies in.
#pragma once

#include "exec/contract_shape.h"
#include "exec/kernel_code.h"

namespace weft::cpu {

class ContractGemm {
 public:
  ContractGemm(const plan::ContractKernel& kernel, const plan::SymbolBounds& bounds, const KernelTable& kernels);
  size_t scratch_bytes() const { return scratch_; }
  // Of the team: the rows' operand, packed once for all tiles of columns.
  size_t shared_bytes() const { return shared_; }
  // Whether the product is large enough in both directions that packing its operands pays.
  bool fits(const ContractShape& shape) const;
  void execute(const ContractShape& shape, const StepBinding& step, Worker& worker) const noexcept;

 private:
  struct Run;
  struct Tile;
  Run prepare(const ContractShape& shape) const;
  bool fits_tiles(const ContractShape& shape, bool is_a) const;
  size_t packed_tile_bytes(const Run& run, const KernelTable& kernels) const;
  void pack_rows(const Run& run, Worker& worker) const noexcept;
  void multiply(const Run& run, const Tile& tile, Worker& worker) const noexcept;

  const plan::ContractKernel& kernel_;
  plan::PlanDtype a_ = {}, b_ = {}, out_ = {};
  size_t products_ = 0, scratch_ = 0, shared_ = 0;
};

}  // namespace weft::cpu
