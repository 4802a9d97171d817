#include "exec/column_sums.h"

#include <algorithm>

#include "validate.h"

namespace weft::cpu {
namespace {

constexpr int64_t most_columns = 256;
// Rows that are summed before their sum joins the total: the error grows with rows / 64 + 64 instead of with the rows.
constexpr int64_t rows_of_part = 64;

}  // namespace

std::optional<ColumnSums> ColumnSums::find(const plan::RowsKernel& kernel) {
  const plan::RowProgram& program = kernel.program;
  if (program.body.size() != 3 || program.loops.empty()) return std::nullopt;
  const auto* load = std::get_if<plan::LoadInstruction>(&program.body[0]);
  const auto* reduce = std::get_if<plan::ReduceInstruction>(&program.body[1]);
  const auto* store = std::get_if<plan::StoreInstruction>(&program.body[2]);
  if (!load || !reduce || !store || reduce->function != plan::ReduceInstructionFunction::sum || store->operand != 1)
    return std::nullopt;
  const auto is_f32 = [&](const plan::Access& access) {
    return kernel.slots[static_cast<size_t>(access.slot)].dtype == plan::PlanDtype::f32;
  };
  const bool is_one = store->length.terms.empty() && store->length.constant == 1;
  const bool is_across = load->access.row_stride > 1 && load->access.strides.back() == 1 && store->access.strides.back() == 1;
  if (!is_f32(load->access) || !is_f32(store->access) || !is_one || !is_across) return std::nullopt;
  return ColumnSums(program, *load, store->access);
}

void ColumnSums::execute(const StepBinding& step, Worker& worker) const noexcept {
  const auto memory = [&](const plan::Access& access) {
    return reinterpret_cast<float*>(step.slots[static_cast<size_t>(access.slot)].data) +
           plan::evaluate(access.offset, worker.symbols);
  };
  const plan::Access& source = load_->access;
  const float* from = memory(source);
  float* to = memory(*to_);
  const size_t loops = program_->loops.size();
  int64_t extents[plan::most_loops] = {};
  int64_t outer = 1;
  for (size_t i = 0; i < loops; ++i) {
    extents[i] = plan::evaluate(program_->loops[i].extent, worker.symbols);
    if (i + 1 < loops) outer *= extents[i];
  }
  const int64_t columns = extents[loops - 1], rows = plan::evaluate(load_->length, worker.symbols);
  if (columns == 0 || outer == 0) return;
  const int64_t share = (columns + worker.threads * 2 - 1) / (worker.threads * 2);
  const int64_t piece = std::min((share + 15) / 16 * 16, most_columns);
  const int64_t pieces = (columns + piece - 1) / piece;
  const auto add = worker.kernels.binary[static_cast<size_t>(BinaryOp::add)];
  int64_t begin, end;
  while (worker.take(outer * pieces, 1, begin, end)) {
    const int64_t first = begin % pieces * piece;
    const size_t count = static_cast<size_t>(std::min(piece, columns - first));
    int64_t rest = begin / pieces, in = first, out = first;
    for (size_t i = loops - 1; i-- > 0;) {
      in += source.strides[i] * (rest % extents[i]);
      out += to_->strides[i] * (rest % extents[i]);
      rest /= extents[i];
    }
    float total[most_columns], part[most_columns];
    worker.kernels.fill(total, 0.0f, count);
    for (int64_t row = 0; row < rows; row += rows_of_part) {
      worker.kernels.copy(part, from + in + row * source.row_stride, count);
      const int64_t last = std::min(rows, row + rows_of_part);
      for (int64_t r = row + 1; r < last; ++r) add(part, part, from + in + r * source.row_stride, count);
      add(total, total, part, count);
    }
    worker.kernels.copy(to + out, total, count);
  }
}

}  // namespace weft::cpu
