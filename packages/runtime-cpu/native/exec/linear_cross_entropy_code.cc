// Beside 6 * positions * classes * contracted operations of the three products, a chunk of c positions reads the weight
// twice and updates its gradient once: c operations for every byte of it, so that memory does not set the pace from some
// tens of positions on. The scores are written once and read once: a tile's largest and its sum of exponentials are taken
// while the tile is in the cache, and a block of them becomes slopes, is packed and multiplied within the second cache.
//
// How classes are cut depends on the sizes alone, never on the threads, and every sum has one order: the bits do not
// depend on the number of threads.
#include <algorithm>
#include <cmath>

#include "exec/linear_cross_entropy_run.h"
#include "row/convert_dtype.h"
#include "validate.h"

namespace weft::cpu {
namespace {

// A block's classes are the depth of one product and the rows of the other.
constexpr int64_t most_block_classes = 384, least_block_classes = 64, wanted_blocks = 16;
constexpr int64_t most_ranges = 64;

}  // namespace

LinearCrossEntropyCode::LinearCrossEntropyCode(const plan::LinearCrossEntropyKernel& kernel, const KernelTable& kernels)
    : kernel_(kernel), input_(kernel.slots[static_cast<size_t>(kernel.input.slot)].dtype),
      weight_(kernel.slots[static_cast<size_t>(kernel.weight)].dtype) {
  const int64_t classes = kernel.classes, contracted = kernel.contracted;
  score_tiles_ = quotient_up(classes, panel_columns);
  block_classes_ = std::clamp(quotient_up(quotient_up(classes, wanted_blocks), 16) * 16, least_block_classes, most_block_classes);
  blocks_ = quotient_up(classes, block_classes_);
  // Their partial sums take half of what the scores take at most.
  ranges_ = std::clamp<int64_t>(classes / (2 * contracted), 1, std::min(blocks_, most_ranges));

  const size_t piece = static_cast<size_t>(std::min(kernel.chunk, most_piece_rows)), block = static_cast<size_t>(block_classes_);
  const size_t chunk = static_cast<size_t>(kernel.chunk), depth = static_cast<size_t>(contracted), floats = sizeof(float);
  const DType input = kernel_dtype(input_), weight = kernel_dtype(weight_), f32 = DType::f32;
  ScratchLayout own;
  slopes_ = own.add(piece * block * floats);
  packed_slopes_ = own.add(std::max(kernels.pack_a_bytes(piece, block, f32, weight), kernels.pack_a_bytes(block, piece, f32, input)));
  size_t panel = 0;
  const auto products = {std::tuple(piece, depth, input, weight), {piece, block, f32, weight}, {block, piece, f32, input}};
  for (const auto& [rows, along, a, w] : products)
    panel = std::max(panel, kernels.gemm_scratch_bytes(rows, static_cast<size_t>(panel_columns), along, a, w, true));
  panel_ = own.add(panel);
  exponentials_ = own.add(static_cast<size_t>(panel_columns) * floats);
  scratch_ = own.bytes();

  packed_piece_bytes_ = (kernels.pack_a_bytes(piece, depth, input, weight) + 63) / 64 * 64;
  ScratchLayout team;
  packed_input_ = team.add(packed_piece_bytes_ * static_cast<size_t>(quotient_up(kernel.chunk, most_piece_rows)));
  tile_tops_ = team.add(chunk * static_cast<size_t>(score_tiles_) * floats);
  tile_sums_ = team.add(chunk * static_cast<size_t>(score_tiles_) * floats);
  row_tops_ = team.add(chunk * floats);
  row_factors_ = team.add(chunk * floats);
  if (ranges_ > 1 && !kernel.input_gradients.empty())
    partials_ = team.add(static_cast<size_t>(ranges_) * chunk * depth * floats);
  shared_ = team.bytes();
}

LinearCrossEntropyCode::Piece LinearCrossEntropyCode::piece_of(const Run& run, int64_t index) const noexcept {
  Piece piece{index * most_piece_rows, 0, {}, run.packed_input + static_cast<size_t>(index) * packed_piece_bytes_};
  piece.rows = std::min(run.rows - piece.row, most_piece_rows);
  GemmArguments& g = piece.input;
  g.rows = static_cast<size_t>(piece.rows);
  g.depth = static_cast<size_t>(kernel_.contracted);
  g.a = run.input + piece.row * run.input_stride * plan::element_bytes(input_);
  g.a_type = kernel_dtype(input_);
  g.w_type = kernel_dtype(weight_);
  g.a_row_stride = static_cast<size_t>(run.input_stride);
  g.a_depth_stride = 1;
  return piece;
}

void LinearCrossEntropyCode::pack_input(const Run& run, Worker& worker) const noexcept {
  int64_t all = 0, begin, end;
  for (int64_t index = 0; index < run.pieces(); ++index) {
    const GemmArguments g = piece_of(run, index).input;
    all += static_cast<int64_t>(worker.kernels.pack_a_items(g.rows, g.depth, g.a_type, g.w_type));
  }
  while (worker.take(all, 1, begin, end)) {
    size_t item = static_cast<size_t>(begin);
    for (int64_t index = 0; index < run.pieces(); ++index) {
      const Piece piece = piece_of(run, index);
      const GemmArguments& g = piece.input;
      const size_t items = worker.kernels.pack_a_items(g.rows, g.depth, g.a_type, g.w_type);
      if (item < items) {
        worker.kernels.pack_a(g, piece.packed, item, item + 1);
        break;
      }
      item -= items;
    }
  }
}

void LinearCrossEntropyCode::score(const Run& run, Worker& worker) const noexcept {
  const KernelTable& kernels = worker.kernels;
  float* exponentials = reinterpret_cast<float*>(worker.scratch + exponentials_);
  int64_t begin, end;
  while (worker.take(run.pieces() * score_tiles_, 1, begin, end)) {
    const int64_t tile = begin % score_tiles_, column = tile * panel_columns;
    const Piece piece = piece_of(run, begin / score_tiles_);
    GemmArguments g = piece.input;
    g.packed_a = piece.packed;
    g.columns = static_cast<size_t>(std::min(panel_columns, kernel_.classes - column));
    g.w = run.weight + column * kernel_.contracted * plan::element_bytes(weight_);
    g.w_column_stride = g.depth;
    g.w_depth_stride = 1;
    g.c = run.scores + piece.row * kernel_.classes + column;
    g.c_stride = static_cast<size_t>(kernel_.classes);
    g.scratch = worker.scratch + panel_;
    kernels.gemm_panel(g);
    for (int64_t row = 0; row < piece.rows; ++row) {
      const float* scores = g.c + static_cast<size_t>(row) * g.c_stride;
      const int64_t at = (piece.row + row) * score_tiles_ + tile;
      const float top = run.tile_tops[at] = kernels.reduce_max(scores, g.columns);
      kernels.binary_vector_scalar[static_cast<size_t>(BinaryOp::sub)](exponentials, scores, top, g.columns);
      kernels.unary[static_cast<size_t>(UnaryOp::exp)](exponentials, exponentials, g.columns);
      // Where all are -infinity there is no difference to the largest.
      run.tile_sums[at] = top == -INFINITY ? 0.0f : kernels.reduce_sum(exponentials, g.columns);
    }
  }
}

void LinearCrossEntropyCode::finish_rows(const Run& run, Worker& worker) const noexcept {
  const KernelTable& kernels = worker.kernels;
  const size_t tiles = static_cast<size_t>(score_tiles_);
  int64_t begin, end;
  while (worker.take(run.rows, 1, begin, end)) {
    const int64_t target = run.targets[begin * run.target_stride];
    const bool is_masked = target < 0, is_class = !is_masked && target < kernel_.classes;
    float* tops = run.tile_tops + begin * score_tiles_;
    const float top = kernels.reduce_max(tops, tiles);
    kernels.binary_vector_scalar[static_cast<size_t>(BinaryOp::sub)](tops, tops, top, tiles);
    kernels.unary[static_cast<size_t>(UnaryOp::exp)](tops, tops, tiles);
    const float sum = kernels.dot(tops, run.tile_sums + begin * score_tiles_, tiles);
    // The largest is taken off the target first: the difference of two large numbers would lose digits.
    const float of_target = (is_class ? run.scores[begin * kernel_.classes + target] : 0.0f) - top;
    if (run.losses) run.losses[begin * run.loss_stride] = is_masked ? 0.0f : std::log(sum) - of_target;
    run.row_tops[begin] = top;
    run.row_factors[begin] = is_masked || !run.cotangents ? 0.0f : run.cotangents[begin * run.cotangent_stride] / sum;
  }
}

LinearCrossEntropyCode::Run LinearCrossEntropyCode::run_of(const StepBinding& step, int64_t first, int64_t positions,
                                                           const Worker& worker) const noexcept {
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
  const auto shared = [&](size_t offset) { return reinterpret_cast<float*>(worker.shared + offset); };
  return {at(kernel_.input, first),
          memory(kernel_.weight, 0),
          reinterpret_cast<const int32_t*>(at(kernel_.targets, first)),
          first_of(kernel_.cotangents, first),
          first_of(kernel_.losses, first),
          reinterpret_cast<float*>(memory(kernel_.scores, 0)),
          first_of(kernel_.input_gradients, first),
          first_of(kernel_.weight_gradients, 0),
          kernel_.input.strides[0],
          kernel_.targets.strides[0],
          stride_of(kernel_.cotangents),
          stride_of(kernel_.losses),
          stride_of(kernel_.input_gradients),
          stride_of(kernel_.weight_gradients),
          std::min(kernel_.chunk, positions - first),
          first == 0,
          worker.shared + packed_input_,
          shared(tile_tops_),
          shared(tile_sums_),
          shared(row_tops_),
          shared(row_factors_),
          shared(partials_)};
}

void LinearCrossEntropyCode::execute(const StepBinding& step, Worker& worker) const noexcept {
  const int64_t positions = plan::evaluate(kernel_.positions, worker.symbols);
  for (int64_t first = 0; first == 0 || first < positions; first += kernel_.chunk) {
    const Run run = run_of(step, first, positions, worker);
    if (first > 0 && worker.barrier()) return;
    pack_input(run, worker);
    if (worker.barrier()) return;
    score(run, worker);
    if (worker.barrier()) return;
    finish_rows(run, worker);
    if (!run.cotangents) continue;
    if (worker.barrier()) return;
    give_gradients(run, worker);
    if (!run.input_gradient || ranges_ == 1) continue;
    if (worker.barrier()) return;
    add_partials(run, worker);
  }
}

}  // namespace weft::cpu
