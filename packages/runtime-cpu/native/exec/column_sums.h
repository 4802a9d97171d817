// Rows kernels that only sum along an axis which lies across memory, as the gradient of a norm's weight does over the
// positions: whole stretches of neighbouring sums are added up side by side, instead of one sum by strided reads.
#pragma once

#include <optional>

#include "exec/kernel_code.h"

namespace weft::cpu {

class ColumnSums {
 public:
  // Nothing unless the kernel is of this form. `kernel` must outlive the result.
  static std::optional<ColumnSums> find(const plan::RowsKernel& kernel);
  void execute(const StepBinding& step, Worker& worker) const noexcept;

 private:
  ColumnSums(const plan::RowProgram& program, const plan::LoadInstruction& load, const plan::Access& to)
      : program_(&program), load_(&load), to_(&to) {}

  const plan::RowProgram* program_;
  const plan::LoadInstruction* load_;
  const plan::Access* to_;
};

}  // namespace weft::cpu
