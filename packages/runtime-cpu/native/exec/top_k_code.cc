#include "exec/top_k_code.h"

#include <algorithm>
#include <cmath>

#include "row/convert_dtype.h"
#include "validate.h"

namespace weft::cpu {
namespace {

constexpr size_t most_kept = 32;
// Elements that are converted at once.
constexpr int64_t piece_floats = 256;

// Strictly: equal elements keep the order in which they are met. NaN is larger than everything else.
bool is_larger(float a, float b) { return std::isnan(a) ? !std::isnan(b) : a > b; }

struct Kept {
  float values[most_kept];
  int64_t indices[most_kept];
  size_t size = 0;

  void offer(float value, int64_t index, size_t most) noexcept {
    if (size == most && !is_larger(value, values[size - 1])) return;
    size_t at = size < most ? size++ : size - 1;
    for (; at > 0 && is_larger(value, values[at - 1]); --at) {
      values[at] = values[at - 1];
      indices[at] = indices[at - 1];
    }
    values[at] = value;
    indices[at] = index;
  }
};

}  // namespace

TopKCode::TopKCode(const plan::TopKKernel& kernel) : kernel_(kernel) {}

void TopKCode::execute(const StepBinding& step, Worker& worker) const noexcept {
  const size_t loops = kernel_.loops.size();
  int64_t extents[plan::most_loops] = {};
  int64_t rows = 1;
  for (size_t i = 0; i < loops; ++i) rows *= extents[i] = plan::evaluate(kernel_.loops[i].extent, worker.symbols);
  const size_t in_slot = static_cast<size_t>(kernel_.input.slot), out_slot = static_cast<size_t>(kernel_.output.slot);
  const plan::PlanDtype dtype = kernel_.slots[in_slot].dtype;
  const int64_t width = plan::element_bytes(dtype);
  const int64_t in_offset = plan::evaluate(kernel_.input.offset, worker.symbols);
  const int64_t out_offset = plan::evaluate(kernel_.output.offset, worker.symbols);
  const char* input = static_cast<const char*>(step.slots[in_slot].data);
  float* output = reinterpret_cast<float*>(step.slots[out_slot].data);
  int64_t begin, end;
  while (worker.take(rows, 1, begin, end)) {
    int64_t in = in_offset, out = out_offset, rest = begin;
    for (size_t i = loops; i-- > 0;) {
      in += kernel_.input.strides[i] * (rest % extents[i]);
      out += kernel_.output.strides[i] * (rest % extents[i]);
      rest /= extents[i];
    }
    Kept kept;
    float piece[piece_floats];
    for (int64_t first = 0; first < kernel_.length; first += piece_floats) {
      const int64_t count = std::min(piece_floats, kernel_.length - first);
      const char* from = input + (in + first * kernel_.input.row_stride) * width;
      if (kernel_.input.row_stride == 1) read_elements(worker.kernels, piece, from, dtype, static_cast<size_t>(count));
      else read_strided(piece, from, dtype, kernel_.input.row_stride, static_cast<size_t>(count));
      for (int64_t i = 0; i < count; ++i) kept.offer(piece[i], first + i, static_cast<size_t>(kernel_.count));
    }
    for (size_t rank = 0; rank < kept.size; ++rank) {
      output[out + 2 * static_cast<int64_t>(rank)] = kept.values[rank];
      output[out + 2 * static_cast<int64_t>(rank) + 1] = static_cast<float>(kept.indices[rank]);
    }
  }
}

}  // namespace weft::cpu
