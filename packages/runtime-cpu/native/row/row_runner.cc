// The walk over rows: which rows and columns form a block, and which operations must run for it.
#include "row_runner.h"

#include <algorithm>

#include "validate.h"

namespace weft::cpu {

void RowRunner::prepare(const RowCode& code, const BoundSlot* slots, const int64_t* symbols, RowRegister* registers,
                        float* scratch, GatherFault* fault, int step) noexcept {
  code_ = &code;
  symbols_ = symbols;
  registers_ = registers;
  fault_ = fault;
  step_ = step;
  for (size_t i = 0; i < code.loops; ++i) {
    extents_[i] = plan::evaluate(code.program->loops[i].extent, symbols);
    known_indices_[i] = -1;
  }
  row_length_ = plan::evaluate(code.program->row.extent, symbols);
  known_column_begin_ = known_column_end_ = -1;
  int64_t longest = 1;
  for (size_t i = 0; i < code.ops.size(); ++i) {
    const RowOp& op = code.ops[i];
    RowRegister& self = registers[i];
    self = RowRegister{};
    self.place = scratch + op.place;
    self.is_lasting = op.is_lasting;
    int64_t length = op.is_scalar ? 1 : op.length ? plan::evaluate(*op.length, symbols) : 0;
    const auto operand = [&](size_t index) {
      const RowRegister& other = registers[index];
      self.is_lasting = self.is_lasting && other.is_lasting;
      if (!op.length && !op.is_scalar && !code.ops[index].is_scalar) length = other.full_length;
    };
    for (const int index : op.operands)
      if (index >= 0) operand(static_cast<size_t>(index));
    if (op.kind == RowOpKind::slice) length = op.slice_length;
    if (op.concat) {
      length = 0;
      for (const int64_t index : op.concat->operands) {
        operand(static_cast<size_t>(index));
        // A scalar is a part of one column.
        const RowRegister& part = registers[index];
        length += part.full_length;
      }
      if (op.is_scalar) length = 1;
    }
    self.full_length = length;
    longest = std::max(longest, length);
    if (op.access) {
      const BoundSlot& slot = slots[op.access->slot];
      // By way of an integer: an access that is never made may lie anywhere.
      self.first = op.dtype == plan::PlanDtype::nvfp4 ? plan::evaluate(op.access->offset, symbols) : 0;
      const int64_t offset = op.dtype == plan::PlanDtype::nvfp4
                                 ? 0
                                 : plan::evaluate(op.access->offset, symbols) * plan::element_bytes(op.dtype);
      self.memory = reinterpret_cast<char*>(reinterpret_cast<uintptr_t>(slot.data) + static_cast<uintptr_t>(offset));
      self.is_lasting = self.is_lasting && !slot.is_written;
      self.is_direct = op.kind == RowOpKind::load && op.dtype == plan::PlanDtype::f32 && !slot.is_written &&
                       (op.is_scalar || op.access->row_stride == 1);
    }
  }
  longest_ = longest;
}

int64_t RowRunner::rows_per_block(int64_t columns) const {
  const int64_t longest = code_->is_chunkable ? std::max<int64_t>(columns, 1) : longest_;
  return std::clamp<int64_t>(static_cast<int64_t>(block_floats) / longest, 1, block_rows_limit);
}

int64_t RowRunner::rows_of(size_t begin, size_t end) const {
  int64_t rows = 1;
  for (size_t i = begin; i < end; ++i) rows *= extents_[i];
  return rows;
}

void RowRunner::run(const RowRange& range) noexcept {
  split_ = range.split;
  const int64_t piece = code_->is_chunkable ? static_cast<int64_t>(block_floats) : range.column_end;
  // A row without columns still runs once: its scalars may be stored.
  int64_t begin = range.column_begin;
  do {
    column_begin_ = begin;
    column_end_ = std::min(range.column_end, begin + piece);
    block_rows_ = rows_per_block(column_end_ - column_begin_);
    if (range.inner_end - range.inner_begin == 1) {
      // One row of the inner loops: blocks run along the outer ones.
      int64_t rest = range.inner_begin;
      for (size_t i = code_->loops; i-- > range.split;) {
        indices_[i] = rest % extents_[i];
        rest /= extents_[i];
      }
      run_rows(0, range.split, range.outer_begin, range.outer_end);
    } else {
      for (int64_t outer = range.outer_begin; outer < range.outer_end; ++outer) {
        int64_t rest = outer;
        for (size_t i = range.split; i-- > 0;) {
          indices_[i] = rest % extents_[i];
          rest /= extents_[i];
        }
        run_rows(range.split, code_->loops, range.inner_begin, range.inner_end);
      }
    }
    begin = column_end_;
  } while (begin < range.column_end);
}

// Flattened rows [begin, end) of loops [first, last), in blocks along the last of them that is longer than 1.
void RowRunner::run_rows(size_t first, size_t last, int64_t begin, int64_t end) noexcept {
  int loop = -1;
  for (size_t i = first; i < last; ++i)
    if (extents_[i] > 1) loop = static_cast<int>(i);
  for (int64_t row = begin; row < end;) {
    int64_t rest = row;
    for (size_t i = last; i-- > first;) {
      indices_[i] = rest % extents_[i];
      rest /= extents_[i];
    }
    const int64_t left = loop < 0 ? 1 : extents_[loop] - indices_[loop];
    const int64_t rows = std::min({left, end - row, block_rows_});
    run_block(rows > 1 ? loop : -1, rows);
    row += rows;
  }
}

// The loops whose index differs from the last block's; all of them when the columns do.
uint32_t RowRunner::changed_loops() noexcept {
  uint32_t changed = 0;
  for (size_t i = 0; i < code_->loops; ++i) {
    if (indices_[i] != known_indices_[i]) changed |= 1u << i;
    known_indices_[i] = indices_[i];
  }
  return changed;
}

void RowRunner::run_block(int loop, int64_t rows) noexcept {
  block_loop_ = loop;
  rows_ = rows;
  const uint32_t changed = changed_loops();
  const bool same_columns = column_begin_ == known_column_begin_ && column_end_ == known_column_end_;
  known_column_begin_ = column_begin_;
  known_column_end_ = column_end_;
  const size_t count = code_->ops.size();
  for (size_t i = 0; i < count; ++i) {
    const RowOp& op = code_->ops[i];
    RowRegister& self = registers_[i];
    const bool is_varying = varies(op);
    if (self.is_lasting && self.is_valid && !is_varying && (op.depends & changed) == 0 && (op.is_scalar || same_columns))
      continue;
    self.is_valid = !is_varying;
    self.length = op.is_scalar ? 1 : code_->is_chunkable ? column_end_ - column_begin_ : self.full_length;
    execute(op, self);
  }
  if (results_.data) store_result();
}

}  // namespace weft::cpu
