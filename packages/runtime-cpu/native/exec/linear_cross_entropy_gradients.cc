// What the slopes of a chunk give to the input and to the weight, a block of classes at a time.
#include <algorithm>

#include "exec/linear_cross_entropy_run.h"
#include "validate.h"

namespace weft::cpu {
namespace {

// All columns of one product with a packed A, panel by panel.
void multiply_packed(const GemmArguments& whole, plan::PlanDtype w, Worker& worker) {
  for (size_t column = 0; column < whole.columns; column += panel_columns) {
    GemmArguments panel = whole;
    panel.columns = std::min(whole.columns - column, static_cast<size_t>(panel_columns));
    panel.w = static_cast<const char*>(whole.w) + column * whole.w_column_stride * static_cast<size_t>(plan::element_bytes(w));
    panel.c += column;
    worker.kernels.gemm_panel(panel);
  }
}

void pack_all(const GemmArguments& g, void* packed, const KernelTable& kernels) {
  kernels.pack_a(g, packed, 0, kernels.pack_a_items(g.rows, g.depth, g.a_type, g.w_type));
}

}  // namespace

// slopes[row][class] of a piece's rows and a block's classes.
void LinearCrossEntropyCode::slopes_of(const Run& run, const Piece& piece, int64_t begin, int64_t classes, float* slopes,
                                       Worker& worker) const noexcept {
  const KernelTable& kernels = worker.kernels;
  const size_t count = static_cast<size_t>(classes);
  for (int64_t row = piece.row; row < piece.row + piece.rows; ++row, slopes += classes) {
    const int64_t target = run.targets[row * run.target_stride];
    if (target < 0) {
      kernels.fill(slopes, 0.0f, count);
      continue;
    }
    const float* scores = run.scores + row * kernel_.classes + begin;
    kernels.binary_vector_scalar[static_cast<size_t>(BinaryOp::sub)](slopes, scores, run.row_tops[row], count);
    kernels.unary[static_cast<size_t>(UnaryOp::exp)](slopes, slopes, count);
    kernels.binary_vector_scalar[static_cast<size_t>(BinaryOp::mul)](slopes, slopes, run.row_factors[row], count);
    if (target >= begin && target < begin + classes) slopes[target - begin] -= run.cotangents[row * run.cotangent_stride];
    if (kernel_.slope_dtype == plan::PlanDtype::bf16) kernels.round_to_bf16(slopes, slopes, count);
  }
}

void LinearCrossEntropyCode::to_input(const Run& run, const Piece& piece, int64_t begin, int64_t classes, float* out,
                                      int64_t out_stride, bool accumulate, const float* slopes, Worker& worker) const noexcept {
  GemmArguments g{};
  g.accumulate = accumulate;
  g.rows = static_cast<size_t>(piece.rows);
  g.columns = g.w_depth_stride = static_cast<size_t>(kernel_.contracted);
  g.depth = g.a_row_stride = static_cast<size_t>(classes);
  g.a_depth_stride = g.w_column_stride = 1;
  g.a = slopes;
  g.a_type = DType::f32;
  g.w = run.weight + begin * kernel_.contracted * plan::element_bytes(weight_);
  g.w_type = kernel_dtype(weight_);
  g.c = out + piece.row * out_stride;
  g.c_stride = static_cast<size_t>(out_stride);
  g.scratch = worker.scratch + panel_;
  g.packed_a = worker.scratch + packed_slopes_;
  pack_all(g, worker.scratch + packed_slopes_, worker.kernels);
  multiply_packed(g, weight_, worker);
}

void LinearCrossEntropyCode::to_weight(const Run& run, const Piece& piece, int64_t begin, int64_t classes, const float* slopes,
                                       Worker& worker) const noexcept {
  GemmArguments g{};
  g.accumulate = !run.is_first || piece.row > 0;
  g.rows = g.a_depth_stride = static_cast<size_t>(classes);
  g.columns = static_cast<size_t>(kernel_.contracted);
  g.depth = static_cast<size_t>(piece.rows);
  g.a_row_stride = g.w_column_stride = 1;
  g.a = slopes;
  g.a_type = DType::f32;
  g.w = piece.input.a;
  g.w_type = kernel_dtype(input_);
  g.w_depth_stride = static_cast<size_t>(run.input_stride);
  g.c = run.weight_gradient + begin * run.weight_gradient_stride;
  g.c_stride = static_cast<size_t>(run.weight_gradient_stride);
  g.scratch = worker.scratch + panel_;
  g.packed_a = worker.scratch + packed_slopes_;
  pack_all(g, worker.scratch + packed_slopes_, worker.kernels);
  multiply_packed(g, input_, worker);
}

void LinearCrossEntropyCode::give_gradients(const Run& run, Worker& worker) const noexcept {
  float* slopes = reinterpret_cast<float*>(worker.scratch + slopes_);
  const bool is_partial = ranges_ > 1;
  const int64_t stride = is_partial ? kernel_.contracted : run.input_gradient_stride;
  int64_t range, end;
  while (worker.take(ranges_, 1, range, end)) {
    const int64_t first = range * blocks_ / ranges_, behind = (range + 1) * blocks_ / ranges_;
    float* out = is_partial ? run.partials + range * kernel_.chunk * kernel_.contracted : run.input_gradient;
    for (int64_t block = first; block < behind; ++block) {
      const int64_t begin = block * block_classes_, classes = std::min(block_classes_, kernel_.classes - begin);
      // Without a position the weight's gradient is still zero: a product of depth 0.
      for (int64_t index = 0; index == 0 || index < run.pieces(); ++index) {
        const Piece piece = piece_of(run, index);
        slopes_of(run, piece, begin, classes, slopes, worker);
        if (run.input_gradient) to_input(run, piece, begin, classes, out, stride, block > first, slopes, worker);
        if (run.weight_gradient) to_weight(run, piece, begin, classes, slopes, worker);
      }
    }
  }
}

void LinearCrossEntropyCode::add_partials(const Run& run, Worker& worker) const noexcept {
  const size_t columns = static_cast<size_t>(kernel_.contracted);
  int64_t begin, end;
  while (worker.take(run.rows, 1, begin, end)) {
    float* sum = run.input_gradient + begin * run.input_gradient_stride;
    for (int64_t range = 0; range < ranges_; ++range) {
      const float* partial = run.partials + (range * kernel_.chunk + begin) * kernel_.contracted;
      if (range == 0) worker.kernels.copy(sum, partial, columns);
      else worker.kernels.binary[static_cast<size_t>(BinaryOp::add)](sum, sum, partial, columns);
    }
  }
}

}  // namespace weft::cpu
