// The operations of a row program on one block: registers in, registers out.
#include <algorithm>
#include <cstring>

#include "convert_dtype.h"
#include "row_runner.h"
#include "validate.h"

namespace weft::cpu {

void RowRunner::execute(const RowOp& op, RowRegister& self) noexcept {
  // Most operations write their place densely; views set their own data and pitch.
  self.data = self.place;
  self.pitch = varies(op) ? self.length : 0;
  switch (op.kind) {
    case RowOpKind::load: return load(op, self);
    case RowOpKind::gather: return gather(op, self);
    case RowOpKind::constant: self.place[0] = op.value; return;
    case RowOpKind::loop_index: return loop_index(op, self);
    case RowOpKind::column_index: return column_index(op, self);
    case RowOpKind::accumulator: return accumulator(op, self);
    case RowOpKind::unary: return unary(op, self);
    case RowOpKind::binary: return binary(op, self);
    case RowOpKind::select: return select(op, self);
    case RowOpKind::round: return round(op, self);
    case RowOpKind::stochastic_round: return stochastic_round(op, self);
    case RowOpKind::quantize: return quantize(op, self);
    case RowOpKind::reduce_sum:
    case RowOpKind::reduce_max: return reduce(op, self);
    case RowOpKind::slice: {
      const RowRegister& source = registers_[op.operands[0]];
      self.data = source.data + op.start;
      self.pitch = source.pitch;
      return;
    }
    case RowOpKind::concat: return concat(op, self);
    case RowOpKind::store: return store(op, self);
  }
}

void RowRunner::loop_index(const RowOp& op, RowRegister& self) noexcept {
  const int64_t first = indices_[op.loop] + plan::evaluate(*op.index_offset, symbols_);
  for (int64_t row = 0; row < rows_in(op); ++row) self.place[row] = static_cast<float>(first + row);
}

void RowRunner::column_index(const RowOp& op, RowRegister& self) noexcept {
  const int64_t first = (op.is_scalar ? 0 : column_begin_) + plan::evaluate(*op.index_offset, symbols_);
  for (int64_t i = 0; i < self.length; ++i) self.place[i] = static_cast<float>(first + i);
}

void RowRunner::accumulator(const RowOp& op, RowRegister& self) noexcept {
  int64_t row = 0, column = 0, row_step = 0, column_step = 0;
  for (size_t i = 0; i < code_->loops; ++i) {
    int64_t& flat = i < split_ ? row : column;
    flat = flat * extents_[i] + indices_[i];
  }
  // Loops after the block's own have one index only, so neighbours along it are neighbours when flattened.
  if (block_loop_ >= 0) (static_cast<size_t>(block_loop_) < split_ ? row_step : column_step) = 1;
  const Accumulators& from = accumulators_;
  self.data = from.data + op.weight * from.weight_pitch + (row - from.first_row) * from.row_pitch +
              (column * row_length_ + (op.is_scalar ? 0 : column_begin_) - from.first_column);
  self.pitch = row_step * from.row_pitch + column_step * row_length_;
}

void RowRunner::unary(const RowOp& op, RowRegister& self) noexcept {
  const RowRegister& source = registers_[op.operands[0]];
  const auto function = kernels_.unary[op.function];
  const int64_t rows = rows_in(op);
  if (rows == 1 || source.pitch == self.length)
    return function(self.place, source.data, static_cast<size_t>(rows * self.length));
  for (int64_t row = 0; row < rows; ++row)
    function(self.place + row * self.length, source.data + row * source.pitch, static_cast<size_t>(self.length));
}

void RowRunner::binary(const RowOp& op, RowRegister& self) noexcept {
  const RowRegister& a = registers_[op.operands[0]];
  const RowRegister& b = registers_[op.operands[1]];
  const int64_t rows = rows_in(op), length = self.length;
  const bool a_is_scalar = code_->ops[static_cast<size_t>(op.operands[0])].is_scalar && !op.is_scalar;
  const bool b_is_scalar = code_->ops[static_cast<size_t>(op.operands[1])].is_scalar && !op.is_scalar;
  const auto vectors = kernels_.binary[op.function];
  const auto scalar_left = kernels_.binary_scalar_vector[op.function];
  const auto scalar_right = kernels_.binary_vector_scalar[op.function];
  const bool a_is_flat = !a_is_scalar && (rows == 1 || a.pitch == length);
  const bool b_is_flat = !b_is_scalar && (rows == 1 || b.pitch == length);
  // One value for all rows: a scalar that does not change, also against a column of scalars.
  const bool a_is_one = (a_is_scalar || op.is_scalar) && (rows == 1 || a.pitch == 0);
  const bool b_is_one = (b_is_scalar || op.is_scalar) && (rows == 1 || b.pitch == 0);
  const size_t total = static_cast<size_t>(rows * length);
  if (a_is_flat && b_is_flat) return vectors(self.place, a.data, b.data, total);
  if (a_is_flat && b_is_one) return scalar_right(self.place, a.data, *b.data, total);
  if (a_is_one && b_is_flat) return scalar_left(self.place, *a.data, b.data, total);
  for (int64_t row = 0; row < rows; ++row) {
    float* out = self.place + row * length;
    const float* left = a.data + row * a.pitch;
    const float* right = b.data + row * b.pitch;
    if (a_is_scalar && b_is_scalar)
      for (int64_t i = 0; i < length; ++i) vectors(out + i, left, right, 1);
    else if (a_is_scalar) scalar_left(out, *left, right, static_cast<size_t>(length));
    else if (b_is_scalar) scalar_right(out, left, *right, static_cast<size_t>(length));
    else vectors(out, left, right, static_cast<size_t>(length));
  }
}

void RowRunner::select(const RowOp& op, RowRegister& self) noexcept {
  const RowRegister* parts[3];
  int64_t steps[3];
  bool all_vectors = true;
  for (int i = 0; i < 3; ++i) {
    parts[i] = &registers_[op.operands[i]];
    steps[i] = code_->ops[static_cast<size_t>(op.operands[i])].is_scalar ? 0 : 1;
    all_vectors = all_vectors && steps[i] == 1;
  }
  for (int64_t row = 0; row < rows_in(op); ++row) {
    float* out = self.place + row * self.length;
    const float* condition = parts[0]->data + row * parts[0]->pitch;
    const float* then = parts[1]->data + row * parts[1]->pitch;
    const float* otherwise = parts[2]->data + row * parts[2]->pitch;
    if (steps[0] == 0 && steps[1] == 1 && steps[2] == 1) {
      // One answer for the row. The result may lie where one of the two does.
      std::memmove(out, *condition != 0 ? then : otherwise, static_cast<size_t>(self.length) * sizeof(float));
      continue;
    }
    if (all_vectors) {
      kernels_.select(out, condition, then, otherwise, static_cast<size_t>(self.length));
      continue;
    }
    for (int64_t i = 0; i < self.length; ++i)
      out[i] = condition[i * steps[0]] != 0 ? then[i * steps[1]] : otherwise[i * steps[2]];
  }
}

void RowRunner::round_row(plan::PlanDtype dtype, float* out, const float* in, int64_t count) noexcept {
  switch (dtype) {
    case plan::PlanDtype::f32: return kernels_.copy(out, in, static_cast<size_t>(count));
    case plan::PlanDtype::bf16: return kernels_.round_to_bf16(out, in, static_cast<size_t>(count));
    case plan::PlanDtype::f16:
      for (int64_t begin = 0; begin < count; begin += 256) {
        uint16_t bits[256];
        const size_t size = static_cast<size_t>(std::min<int64_t>(256, count - begin));
        kernels_.f32_to_f16(bits, in + begin, size);
        kernels_.f16_to_f32(out + begin, bits, size);
      }
      return;
    case plan::PlanDtype::f8e4m3:         // no plan asks for it
    case plan::PlanDtype::nvfp4: return;  // quantize makes it
    case plan::PlanDtype::i32:
      for (int64_t i = 0; i < count; ++i) out[i] = static_cast<float>(to_i32(in[i]));
      return;
    case plan::PlanDtype::i8:
      for (int64_t i = 0; i < count; ++i) out[i] = static_cast<float>(to_i8(in[i]));
      return;
  }
}

void RowRunner::round(const RowOp& op, RowRegister& self) noexcept {
  const RowRegister& source = registers_[op.operands[0]];
  for (int64_t row = 0; row < rows_in(op); ++row)
    round_row(op.dtype, self.place + row * self.length, source.data + row * source.pitch, self.length);
}

void RowRunner::stochastic_round(const RowOp& op, RowRegister& self) noexcept {
  const plan::StochasticRoundInstruction& round = *op.stochastic_round;
  const auto word = [&](int operand, int64_t row) {
    const RowRegister& source = registers_[op.operands[operand]];
    return static_cast<uint32_t>(to_i32(source.data[row * source.pitch]));
  };
  const RowRegister& source = registers_[op.operands[0]];
  const bool is_scalar = code_->ops[static_cast<size_t>(op.operands[0])].is_scalar;
  int64_t first = op.is_scalar ? 0 : column_begin_ * round.row_stride;
  for (size_t i = 0; i < code_->loops; ++i) first += round.strides[i] * indices_[i];
  const int64_t rows = rows_in(op), length = self.length;
  const int64_t step = block_loop_ < 0 ? 0 : round.strides[static_cast<size_t>(block_loop_)];
  bool has_one_stream = true;
  for (int i = 1; i < 4; ++i) has_one_stream = has_one_stream && (rows == 1 || registers_[op.operands[i]].pitch == 0);
  const RandomStream stream{word(1, 0), word(2, 0), word(3, 0)};
  // Rows whose places follow each other are one.
  const bool follows = op.is_scalar || round.row_stride == 1;
  if (follows && has_one_stream && (rows == 1 || (step == length && source.pitch == length)) && is_scalar == op.is_scalar)
    return kernels_.stochastic_round(self.place, source.data, static_cast<uint64_t>(first), stream,
                                     static_cast<size_t>(rows * length));
  for (int64_t row = 0; row < rows; ++row) {
    const RandomStream own{word(1, row), word(2, row), word(3, row)};
    const float* in = source.data + row * source.pitch;
    float* out = self.place + row * length;
    const int64_t place = first + row * step;
    if (follows && is_scalar == op.is_scalar) {
      kernels_.stochastic_round(out, in, static_cast<uint64_t>(place), own, static_cast<size_t>(length));
      continue;
    }
    for (int64_t i = 0; i < length; ++i)
      kernels_.stochastic_round(out + i, in + (is_scalar ? 0 : i), static_cast<uint64_t>(place + i * round.row_stride), own, 1);
  }
}

void RowRunner::reduce(const RowOp& op, RowRegister& self) noexcept {
  const RowRegister& source = registers_[op.operands[0]];
  const auto function = op.kind == RowOpKind::reduce_sum ? kernels_.reduce_sum : kernels_.reduce_max;
  for (int64_t row = 0; row < rows_in(op); ++row)
    self.place[row] = function(source.data + row * source.pitch, static_cast<size_t>(source.length));
}

void RowRunner::concat(const RowOp& op, RowRegister& self) noexcept {
  for (int64_t row = 0; row < rows_in(op); ++row) {
    float* out = self.place + row * self.length;
    for (const int64_t operand : op.concat->operands) {
      const RowRegister& part = registers_[operand];
      kernels_.copy(out, part.data + row * part.pitch, static_cast<size_t>(part.length));
      out += part.length;
    }
  }
}

}  // namespace weft::cpu
