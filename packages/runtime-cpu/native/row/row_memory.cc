// The operations of a row program that touch buffers: loads, gathers, stores, and a prologue's result.
#include <algorithm>

#include "convert_dtype.h"
#include "gather_fault.h"
#include "row_runner.h"
#include "validate.h"

namespace weft::cpu {

// Elements from one row of the block to the next.
int64_t RowRunner::stride_of(const RowOp& op) const {
  return block_loop_ < 0 ? 0 : op.access->strides[static_cast<size_t>(block_loop_)];
}

// The first element of the block.
char* RowRunner::address(const RowOp& op, const RowRegister& self) const {
  int64_t element = op.is_scalar ? 0 : (code_->is_chunkable ? column_begin_ : 0) * op.access->row_stride;
  for (size_t i = 0; i < code_->loops; ++i) element += op.access->strides[i] * indices_[i];
  return self.memory + element * plan::element_bytes(op.dtype);
}

void RowRunner::load(const RowOp& op, RowRegister& self) noexcept {
  if (op.dtype == plan::PlanDtype::nvfp4) return load_blocks(op, self);
  const char* memory = address(op, self);
  const int64_t stride = stride_of(op);
  if (self.is_direct) {
    self.data = reinterpret_cast<const float*>(memory);
    self.pitch = stride;
    return;
  }
  const int64_t rows = rows_in(op);
  const int64_t step = stride * plan::element_bytes(op.dtype);
  const size_t length = static_cast<size_t>(self.length);
  if (op.is_scalar) return read_strided(self.place, memory, op.dtype, stride, static_cast<size_t>(rows));
  if (op.access->row_stride == 1 && (rows == 1 || stride == self.length))
    return read_elements(kernels_, self.place, memory, op.dtype, static_cast<size_t>(rows) * length);
  for (int64_t row = 0; row < rows; ++row) {
    float* out = self.place + row * self.length;
    const char* from = memory + row * step;
    if (op.access->row_stride == 1) read_elements(kernels_, out, from, op.dtype, length);
    else if (op.access->row_stride == 0 && length > 0) kernels_.fill(out, read_element(from, op.dtype), length);
    else read_strided(out, from, op.dtype, op.access->row_stride, length);
  }
}

void RowRunner::gather(const RowOp& op, RowRegister& self) noexcept {
  if (op.dtype == plan::PlanDtype::nvfp4) return gather_blocks(op, self);
  const RowRegister& index = registers_[op.operands[0]];
  const char* memory = address(op, self);
  const int64_t width = plan::element_bytes(op.dtype);
  const int64_t step = stride_of(op) * width;
  const size_t length = static_cast<size_t>(self.length);
  for (int64_t row = 0; row < rows_in(op); ++row) {
    float wanted = index.data[row * index.pitch];
    // Written so that NaN fails too.
    if (!(wanted >= 0.0f && wanted < static_cast<float>(op.bound))) {
      fault_->report(step_, wanted, op.bound);
      wanted = 0;
    }
    const int64_t element = std::min(static_cast<int64_t>(wanted), op.bound - 1) * op.index_stride;
    const char* from = memory + row * step + element * width;
    float* out = self.place + row * self.length;
    if (op.access->row_stride == 1) read_elements(kernels_, out, from, op.dtype, length);
    else read_strided(out, from, op.dtype, op.access->row_stride, length);
  }
}

void RowRunner::store(const RowOp& op, const RowRegister& self) noexcept {
  if (op.dtype == plan::PlanDtype::nvfp4) return store_blocks(op, self);
  const RowRegister& source = registers_[op.operands[0]];
  const bool source_is_scalar = code_->ops[static_cast<size_t>(op.operands[0])].is_scalar;
  // One value per row, of a row cut into chunks: the first chunk stores it.
  if (op.is_scalar && column_begin_ > 0) return;
  char* memory = address(op, self);
  const int64_t stride = stride_of(op);
  const int64_t step = stride * plan::element_bytes(op.dtype);
  const size_t length = static_cast<size_t>(self.length);
  if (op.is_scalar) {
    for (int64_t row = 0; row < rows_; ++row)
      write_elements(kernels_, memory + row * step, op.dtype, source.data + row * source.pitch, 1);
    return;
  }
  if (!source_is_scalar && op.access->row_stride == 1 && stride == self.length && source.pitch == self.length)
    return write_elements(kernels_, memory, op.dtype, source.data, static_cast<size_t>(rows_) * length);
  for (int64_t row = 0; row < rows_; ++row) {
    char* out = memory + row * step;
    const float* from = source.data + row * source.pitch;
    if (source_is_scalar) {
      for (size_t i = 0; i < length; ++i)
        write_elements(kernels_, out + static_cast<int64_t>(i) * op.access->row_stride * plan::element_bytes(op.dtype),
                       op.dtype, from, 1);
    } else if (op.access->row_stride == 1) {
      write_elements(kernels_, out, op.dtype, from, length);
    } else {
      write_strided(kernels_, out, op.dtype, op.access->row_stride, from, length);
    }
  }
}

// The last register, rounded, to the rows of a matmul's input.
void RowRunner::store_result() noexcept {
  const RowRegister& source = registers_[code_->ops.size() - 1];
  int64_t row = 0;
  for (size_t i = 0; i < code_->loops; ++i) row = row * extents_[i] + indices_[i];
  const int64_t width = plan::element_bytes(results_.storage);
  const bool is_scalar = code_->ops.back().is_scalar;
  for (int64_t i = 0; i < rows_; ++i) {
    char* out = results_.data + ((row + i) * row_length_ + (is_scalar ? 0 : column_begin_)) * width;
    const float* from = source.data + i * source.pitch;
    const size_t length = static_cast<size_t>(source.length);
    if (results_.storage == plan::PlanDtype::f32 && results_.rounding != plan::PlanDtype::f32)
      round_row(results_.rounding, reinterpret_cast<float*>(out), from, source.length);
    else write_elements(kernels_, out, results_.storage, from, length);
  }
}

}  // namespace weft::cpu
