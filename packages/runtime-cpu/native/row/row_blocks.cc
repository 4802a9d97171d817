// The operations of a row program on NVFP4: loads and gathers from a matrix in tiles, values that become blocks, stores.
#include <algorithm>

#include "convert_dtype.h"
#include "gather_fault.h"
#include "row_runner.h"
#include "validate.h"

namespace weft::cpu {

// The place in the matrix of the block of rows' first element, counted row by row.
int64_t RowRunner::first_element(const RowOp& op, const RowRegister& self) const {
  int64_t element = self.first + (op.is_scalar || !code_->is_chunkable ? 0 : column_begin_) * op.access->row_stride;
  for (size_t i = 0; i < code_->loops; ++i) element += op.access->strides[i] * indices_[i];
  return element;
}

// `count` elements, `row_stride` apart.
void RowRunner::read_blocks(const RowOp& op, const RowRegister& self, float* out, int64_t element, int64_t count) noexcept {
  const uint8_t* tiles = reinterpret_cast<const uint8_t*>(self.memory);
  const int64_t depth = static_cast<int64_t>(op.row_elements), stride = op.is_scalar ? 1 : op.access->row_stride;
  const auto read = [&](float* to, int64_t at, int64_t length) {
    kernels_.nvfp4_load_row(to, tiles, static_cast<size_t>(at / depth), op.row_elements, static_cast<size_t>(at % depth),
                            static_cast<size_t>(length));
  };
  if (stride == 0) {
    if (count == 0) return;
    read(out, element, 1);
    return kernels_.fill(out, out[0], static_cast<size_t>(count));
  }
  for (int64_t done = 0; done < count;) {
    const int64_t at = element + done * stride;
    const int64_t length = stride == 1 ? std::min(count - done, depth - at % depth) : 1;
    read(out + done, at, length);
    done += length;
  }
}

void RowRunner::load_blocks(const RowOp& op, RowRegister& self) noexcept {
  const int64_t first = first_element(op, self), step = stride_of(op);
  for (int64_t row = 0; row < rows_in(op); ++row)
    read_blocks(op, self, self.place + row * self.length, first + row * step, self.length);
}

void RowRunner::gather_blocks(const RowOp& op, RowRegister& self) noexcept {
  const RowRegister& index = registers_[op.operands[0]];
  const int64_t first = first_element(op, self), step = stride_of(op);
  for (int64_t row = 0; row < rows_in(op); ++row) {
    float wanted = index.data[row * index.pitch];
    // Written so that NaN fails too.
    if (!(wanted >= 0.0f && wanted < static_cast<float>(op.bound))) {
      fault_->report(step_, wanted, op.bound);
      wanted = 0;
    }
    const int64_t element = std::min(static_cast<int64_t>(wanted), op.bound - 1) * op.index_stride;
    read_blocks(op, self, self.place + row * self.length, first + row * step + element, self.length);
  }
}

Nvfp4Encoding RowRunner::encoding_of(const RowOp& op, int64_t row) const noexcept {
  const plan::QuantizeNvfp4Instruction& quantize = *op.quantize;
  const auto value = [&](int operand) {
    const RowRegister& source = registers_[op.operands[operand]];
    return source.data[row * source.pitch];
  };
  Nvfp4Encoding encoding{};
  encoding.encode_scale = value(1);
  encoding.four_over_six = quantize.four_over_six;
  encoding.non_zero = quantize.non_zero;
  encoding.stochastic = !quantize.random.empty();
  if (!encoding.stochastic) return encoding;
  const auto word = [&](int operand) { return static_cast<uint32_t>(to_i32(value(operand))); };
  encoding.from = {word(2), word(3), word(4)};
  int64_t place = row * (block_loop_ < 0 ? 0 : quantize.strides[static_cast<size_t>(block_loop_)]);
  for (size_t i = 0; i < code_->loops; ++i) place += quantize.strides[i] * indices_[i];
  encoding.place = static_cast<uint64_t>(place);
  return encoding;
}

void RowRunner::quantize(const RowOp& op, RowRegister& self) noexcept {
  if (!op.is_read) return;
  constexpr int64_t piece = 1024;
  uint8_t codes[piece / 2], scales[piece / 16];
  const RowRegister& source = registers_[op.operands[0]];
  for (int64_t row = 0; row < rows_in(op); ++row) {
    Nvfp4Encoding encoding = encoding_of(op, row);
    for (int64_t begin = 0; begin < self.length; begin += piece) {
      const size_t count = static_cast<size_t>(std::min(piece, self.length - begin));
      kernels_.nvfp4_encode(codes, scales, source.data + row * source.pitch + begin, count, encoding);
      kernels_.nvfp4_decode(self.place + row * self.length + begin, codes, scales, count);
      encoding.place += count;
    }
  }
}

// The codes of what is stored are made here, from what was to be quantised.
void RowRunner::store_blocks(const RowOp& op, const RowRegister& self) noexcept {
  const RowOp& quantized = code_->ops[static_cast<size_t>(op.operands[0])];
  const RowRegister& source = registers_[quantized.operands[0]];
  uint8_t* tiles = reinterpret_cast<uint8_t*>(self.memory);
  const int64_t depth = static_cast<int64_t>(op.row_elements), first = first_element(op, self), step = stride_of(op);
  for (int64_t row = 0; row < rows_; ++row) {
    Nvfp4Encoding encoding = encoding_of(quantized, row);
    for (int64_t done = 0; done < self.length;) {
      const int64_t at = first + row * step + done;
      const int64_t length = std::min(self.length - done, depth - at % depth);
      kernels_.nvfp4_store_row(tiles, static_cast<size_t>(at / depth), op.row_elements, static_cast<size_t>(at % depth),
                               static_cast<size_t>(length), source.data + row * source.pitch + done, encoding);
      encoding.place += static_cast<uint64_t>(length);
      done += length;
    }
  }
}

}  // namespace weft::cpu
