// Rows kernels: a row program over all of its rows.
#pragma once

#include <optional>

#include "exec/column_sums.h"
#include "exec/kernel_code.h"

namespace weft::cpu {

class RowsCode final : public KernelCode {
 public:
  RowsCode(const plan::RowsKernel& kernel, const plan::SymbolBounds& bounds);
  ScratchNeeds scratch_needs() const override;
  void execute(const StepBinding& step, Worker& worker) const noexcept override;

 private:
  RowCode code_;
  std::optional<ColumnSums> column_sums_;
  RowScratch scratch_;
  size_t scratch_bytes_ = 0;
};

}  // namespace weft::cpu
