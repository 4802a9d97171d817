// Beside 6 * positions * classes * contracted operations of the three products, a chunk of c positions reads the weight
// twice and updates its gradient once: c operations for every byte of it, so that memory does not set the pace from some
// tens of positions on.
#include "exec/linear_cross_entropy_code.h"

#include <algorithm>
#include <cmath>

#include "row/convert_dtype.h"
#include "validate.h"

namespace weft::cpu {
namespace {

constexpr int64_t most_tile_rows = 512, least_tile_rows = 56;
constexpr int64_t most_tile_columns = 256, least_tile_columns = 64;
// Narrow tiles cost more packing than an uneven end: three for each thread at least.
constexpr int64_t tiles_per_thread = 3;

}  // namespace

struct LinearCrossEntropyCode::Run {
  const char* input;  // of the chunk's first position
  const char* weight;
  const int32_t* targets;
  const float* cotangents;  // or nullptr
  float* losses;            // or nullptr
  float* scores;
  float* input_gradient;   // or nullptr
  float* weight_gradient;  // or nullptr
  int64_t target_stride, cotangent_stride, loss_stride;
  int64_t rows;  // of the chunk
  bool is_first;
  int threads;
};

// One product cut into tiles.
struct LinearCrossEntropyCode::Product {
  GemmArguments whole{};
  plan::PlanDtype a = {}, w = {};
  int64_t tile_rows = most_tile_rows, tile_columns = most_tile_columns;

  int64_t by_rows() const { return (static_cast<int64_t>(whole.rows) + tile_rows - 1) / tile_rows; }
  int64_t tiles() const { return by_rows() * ((static_cast<int64_t>(whole.columns) + tile_columns - 1) / tile_columns); }
  void cut(int threads) {
    whole.a_type = kernel_dtype(a);
    whole.w_type = kernel_dtype(w);
    const int64_t wanted = threads == 1 ? 1 : threads * tiles_per_thread;
    tile_rows = std::min(tile_rows, std::max<int64_t>(static_cast<int64_t>(whole.rows), 1));
    while (tiles() < wanted && (tile_columns > least_tile_columns || tile_rows > least_tile_rows)) {
      if (tile_columns > least_tile_columns && (tile_columns >= tile_rows || tile_rows <= least_tile_rows)) tile_columns /= 2;
      else tile_rows = (tile_rows + 1) / 2;
    }
  }
};

LinearCrossEntropyCode::LinearCrossEntropyCode(const plan::LinearCrossEntropyKernel& kernel, const KernelTable& kernels)
    : kernel_(kernel), input_(kernel.slots[static_cast<size_t>(kernel.input.slot)].dtype),
      weight_(kernel.slots[static_cast<size_t>(kernel.weight)].dtype) {
  constexpr size_t depth = 1 << 16;
  size_t panel = 0;
  const DType f32 = DType::f32;
  for (const auto& [a, w] : {std::pair(kernel_dtype(input_), kernel_dtype(weight_)), std::pair(f32, kernel_dtype(weight_)),
                             std::pair(f32, kernel_dtype(input_))})
    panel = std::max(panel, kernels.gemm_scratch_bytes(most_tile_rows, most_tile_columns, depth, a, w, false));
  scratch_ = panel;
}

LinearCrossEntropyCode::Product LinearCrossEntropyCode::scores_of(const Run& run) const {
  Product product;
  product.a = input_;
  product.w = weight_;
  GemmArguments& g = product.whole;
  g.rows = static_cast<size_t>(run.rows);
  g.columns = g.c_stride = static_cast<size_t>(kernel_.classes);
  g.depth = g.w_column_stride = static_cast<size_t>(kernel_.contracted);
  g.a = run.input;
  g.a_row_stride = static_cast<size_t>(kernel_.input.strides[0]);
  g.a_depth_stride = g.w_depth_stride = 1;
  g.w = run.weight;
  g.c = run.scores;
  product.cut(run.threads);
  return product;
}

LinearCrossEntropyCode::Product LinearCrossEntropyCode::input_gradient_of(const Run& run) const {
  Product product;
  product.a = plan::PlanDtype::f32;
  product.w = weight_;
  GemmArguments& g = product.whole;
  g.rows = static_cast<size_t>(run.rows);
  g.columns = g.w_depth_stride = static_cast<size_t>(kernel_.contracted);
  g.depth = g.a_row_stride = static_cast<size_t>(kernel_.classes);
  g.a = run.scores;
  g.a_depth_stride = g.w_column_stride = 1;
  g.w = run.weight;
  g.c = run.input_gradient;
  g.c_stride = static_cast<size_t>(kernel_.input_gradients.front().strides[0]);
  product.cut(run.threads);
  return product;
}

LinearCrossEntropyCode::Product LinearCrossEntropyCode::weight_gradient_of(const Run& run) const {
  Product product;
  product.a = plan::PlanDtype::f32;
  product.w = input_;
  GemmArguments& g = product.whole;
  g.accumulate = !run.is_first;
  g.rows = g.a_depth_stride = static_cast<size_t>(kernel_.classes);
  g.columns = static_cast<size_t>(kernel_.contracted);
  g.depth = static_cast<size_t>(run.rows);
  g.a = run.scores;
  g.a_row_stride = g.w_column_stride = 1;
  g.w = run.input;
  g.w_depth_stride = static_cast<size_t>(kernel_.input.strides[0]);
  g.c = run.weight_gradient;
  g.c_stride = static_cast<size_t>(kernel_.weight_gradients.front().strides[0]);
  product.cut(run.threads);
  return product;
}

void LinearCrossEntropyCode::multiply(const Product& product, int64_t item, Worker& worker) const noexcept {
  GemmArguments g = product.whole;
  const size_t row = static_cast<size_t>(item % product.by_rows() * product.tile_rows);
  const size_t column = static_cast<size_t>(item / product.by_rows() * product.tile_columns);
  g.rows = std::min(g.rows - row, static_cast<size_t>(product.tile_rows));
  g.columns = std::min(g.columns - column, static_cast<size_t>(product.tile_columns));
  const auto moved = [](const void* memory, size_t elements, plan::PlanDtype dtype) {
    return static_cast<const char*>(memory) + elements * static_cast<size_t>(plan::element_bytes(dtype));
  };
  g.a = moved(g.a, row * g.a_row_stride, product.a);
  g.w = moved(g.w, column * g.w_column_stride, product.w);
  g.scratch = worker.scratch;
  g.c += row * g.c_stride + column;
  worker.kernels.gemm_panel(g);
}

void LinearCrossEntropyCode::finish_rows(const Run& run, Worker& worker) const noexcept {
  const KernelTable& kernels = worker.kernels;
  const size_t classes = static_cast<size_t>(kernel_.classes);
  int64_t begin, end;
  while (worker.take(run.rows, 1, begin, end)) {
    float* row = run.scores + begin * kernel_.classes;
    const int64_t target = run.targets[begin * run.target_stride];
    const bool is_masked = target < 0, is_class = !is_masked && target < kernel_.classes;
    const float top = kernels.reduce_max(row, classes);
    // The largest is taken off the target first: the difference of two large numbers would lose digits.
    const float of_target = (is_class ? row[target] : 0.0f) - top;
    kernels.binary_vector_scalar[static_cast<size_t>(BinaryOp::sub)](row, row, top, classes);
    kernels.unary[static_cast<size_t>(UnaryOp::exp)](row, row, classes);
    const float sum = kernels.reduce_sum(row, classes);
    if (run.losses) run.losses[begin * run.loss_stride] = is_masked ? 0.0f : std::log(sum) - of_target;
    if (!run.cotangents) continue;
    const float cotangent = is_masked ? 0.0f : run.cotangents[begin * run.cotangent_stride];
    if (is_masked) {
      kernels.fill(row, 0.0f, classes);
      continue;
    }
    kernels.binary_vector_scalar[static_cast<size_t>(BinaryOp::mul)](row, row, cotangent / sum, classes);
    if (is_class) row[target] -= cotangent;
    if (kernel_.slope_dtype == plan::PlanDtype::bf16) kernels.round_to_bf16(row, row, classes);
  }
}

void LinearCrossEntropyCode::execute(const StepBinding& step, Worker& worker) const noexcept {
  const auto memory = [&](int64_t slot, int64_t element) {
    return step.slots[static_cast<size_t>(slot)].data +
           element * plan::element_bytes(kernel_.slots[static_cast<size_t>(slot)].dtype);
  };
  const auto at = [&](const plan::Access& access, int64_t position) {
    return memory(access.slot, plan::evaluate(access.offset, worker.symbols) + position * access.strides[0]);
  };
  const auto first_of = [&](const std::vector<plan::Access>& accesses, int64_t position) {
    return accesses.empty() ? nullptr : reinterpret_cast<float*>(at(accesses.front(), position));
  };
  const auto stride_of = [](const std::vector<plan::Access>& accesses) {
    return accesses.empty() ? int64_t{0} : accesses.front().strides[0];
  };
  const int64_t positions = plan::evaluate(kernel_.positions, worker.symbols);
  for (int64_t first = 0; first == 0 || first < positions; first += kernel_.chunk) {
    // Without a position the weight's gradient is still zero: a product of depth 0.
    Run run{at(kernel_.input, first), memory(kernel_.weight, 0), reinterpret_cast<const int32_t*>(at(kernel_.targets, first)),
            first_of(kernel_.cotangents, first), first_of(kernel_.losses, first),
            reinterpret_cast<float*>(memory(kernel_.scores, 0)), first_of(kernel_.input_gradients, first),
            first_of(kernel_.weight_gradients, 0), kernel_.targets.strides[0], stride_of(kernel_.cotangents),
            stride_of(kernel_.losses), std::min(kernel_.chunk, positions - first), first == 0, worker.threads};
    int64_t begin, end;
    if (first > 0 && worker.barrier()) return;
    const Product scores = scores_of(run);
    while (worker.take(scores.tiles(), 1, begin, end)) multiply(scores, begin, worker);
    if (worker.barrier()) return;
    finish_rows(run, worker);
    if (!run.cotangents) continue;
    if (worker.barrier()) return;
    const Product input = run.input_gradient ? input_gradient_of(run) : Product{};
    const Product weight = run.weight_gradient ? weight_gradient_of(run) : Product{};
    // The deeper product first: its tiles take longest.
    const int64_t inputs = run.input_gradient ? input.tiles() : 0, weights = run.weight_gradient ? weight.tiles() : 0;
    while (worker.take(inputs + weights, 1, begin, end))
      multiply(begin < inputs ? input : weight, begin < inputs ? begin : begin - inputs, worker);
  }
}

}  // namespace weft::cpu
