// The execution of matmul kernels; matmul_code.h tells the decisions.
#include <algorithm>

#include "exec/matmul_code.h"
#include "exec/matmul_sizes.h"
#include "validate.h"

namespace weft::cpu {

struct MatmulCode::Run {
  int64_t rows = 1;
  int64_t tiles = 1, tile_rows = 1;
  bool by_gemv = false;
  bool has_private_input = false;
  // The items that this thread begins with, where it has taken them before it makes its input.
  int64_t begin = 0, end = 0;
  const char* input = nullptr;
  const char* packed = nullptr;
};

void MatmulCode::execute(const StepBinding& step, Worker& worker) const noexcept {
  Run run;
  for (const plan::Loop& loop : kernel_.rows) run.rows *= plan::evaluate(loop.extent, worker.symbols);
  if (run.rows == 0) return;
  run.by_gemv = run.rows <= most_gemv_rows && by_gemv(run.rows);
  run.tile_rows = run.by_gemv ? run.rows : std::min(run.rows, gemm_row_tile);
  run.tiles = (run.rows + run.tile_rows - 1) / run.tile_rows;
  run.has_private_input = has_private_input(step, run.rows);
  // Memory is busy with what comes first while the input is made.
  if (run.by_gemv && has_blocks_ && run.has_private_input && worker.take_run(items_of(run), gemv_run_items, run.begin, run.end))
    fetch_blocks(step, run.begin);
  if (make_input(step, worker, run)) return;
  if (run.by_gemv ? pack_few_rows(worker, run) : packs_ && pack_input(worker, run)) return;
  make_panels(step, worker, run);
  finish_deferred(step, worker, run);
}

bool MatmulCode::has_private_input(const StepBinding& step, int64_t rows) const noexcept {
  bool is_private = !prologue_.has_stores && rows * depth_ <= most_private_floats;
  for (size_t slot = 0; slot < step.slots.size(); ++slot)
    if (prologue_.slots_read[slot] && step.slots[slot].is_written) is_private = false;
  return is_private;
}

int64_t MatmulCode::items_of(const Run& run) const noexcept {
  int64_t items = 0;
  for (const Group& group : groups_) items += (run.by_gemv ? group.gemv : group.gemm).count * run.tiles;
  return items;
}

// What the product of an item does not fetch ahead itself: the beginnings of its first groups of rows.
void MatmulCode::fetch_blocks(const StepBinding& step, int64_t item) const noexcept {
  size_t at = 0;
  for (; item >= groups_[at].gemv.count; ++at) item -= groups_[at].gemv.count;
  const Group& group = groups_[at];
  if (!group.weights.front().is_blocks) return;
  const Cut& cut = group.gemv;
  const int64_t column = item / cut.pieces * cut.unit + item % cut.pieces * cut.panel;
  constexpr int64_t rows = nvfp4_group_rows, codes_ahead = prefetch_bytes, scales_ahead = prefetch_bytes / 8, side_by_side = 4;
  const int64_t code_bytes = 8 * depth_, group_bytes = code_bytes + depth_;
  const int64_t first = column / rows, last = std::min(first + side_by_side, (group.plan->columns + rows - 1) / rows);
  const char* data = step.slots[static_cast<size_t>(group.plan->weights.front())].data;
  const auto fetch = [](const char* from, int64_t bytes) {
    for (int64_t byte = 0; byte < bytes; byte += 64) __builtin_prefetch(from + byte, 0, 2);
  };
  for (int64_t i = first; i < last; ++i) {
    fetch(data + i * group_bytes, std::min(codes_ahead, code_bytes));
    fetch(data + i * group_bytes + code_bytes, std::min(scales_ahead, depth_));
  }
}

bool MatmulCode::make_input(const StepBinding& step, Worker& worker, Run& run) const noexcept {
  const bool is_private = run.has_private_input;
  char* input = is_private ? worker.scratch + layout_.input : worker.shared + layout_.shared_input;
  run.input = input;
  RowRunner runner(worker.kernels);
  layout_.prologue.prepare(runner, prologue_, step, worker);
  runner.set_results({input, input_storage_, kernel_.input_dtype});
  if (!is_private) {
    run_all_rows(runner, prologue_, worker);
    return worker.barrier();
  }
  RowRange range;
  range.inner_end = run.rows;
  range.column_end = depth_;
  runner.run(range);
  return false;
}

bool MatmulCode::pack_few_rows(Worker& worker, Run& run) const noexcept {
  if (!has_blocks_) return false;
  const Nvfp4Arguments arguments = block_rows(run, 0);
  const size_t items = kernels_.nvfp4_pack_items(arguments.rows, arguments.depth, input_type_);
  if (items == 0) return false;
  if (run.has_private_input) {
    char* packed = worker.scratch + layout_.packed_few;
    run.packed = packed;
    kernels_.nvfp4_pack(arguments, packed, 0, items);
    return false;
  }
  char* packed = worker.shared + layout_.packed;
  run.packed = packed;
  int64_t begin, end;
  while (worker.take(static_cast<int64_t>(items), 1, begin, end))
    kernels_.nvfp4_pack(arguments, packed, static_cast<size_t>(begin), static_cast<size_t>(end));
  return worker.barrier();
}

bool MatmulCode::pack_input(Worker& worker, Run& run) const noexcept {
  const Operand& weight = first_weight();
  const DType weight_type = weight.type;
  char* packed = worker.shared + layout_.packed;
  run.packed = packed;
  const size_t tile_bytes = packed_tile_bytes(std::min(most_rows_, gemm_row_tile));
  const auto rows_of_tile = [&](int64_t tile) { return std::min(run.tile_rows, run.rows - tile * run.tile_rows); };
  const auto items_of = [&](int64_t rows) {
    const size_t count = static_cast<size_t>(rows), depth = static_cast<size_t>(depth_);
    return static_cast<int64_t>(weight.is_blocks ? kernels_.nvfp4_pack_items(count, depth, input_type_)
                                                 : kernels_.pack_a_items(count, depth, input_type_, weight_type));
  };
  const int64_t full = items_of(run.tile_rows), last = items_of(rows_of_tile(run.tiles - 1));
  int64_t begin, end;
  while (worker.take((run.tiles - 1) * full + last, 1, begin, end)) {
    const int64_t tile = begin / full;
    const size_t item = static_cast<size_t>(begin - tile * full);
    char* place = packed + static_cast<size_t>(tile) * tile_bytes;
    if (weight.is_blocks) {
      kernels_.nvfp4_pack(block_rows(run, tile), place, item, item + 1);
      continue;
    }
    const char* input = run.input + tile * run.tile_rows * depth_ * plan::element_bytes(input_storage_);
    GemmArguments arguments{};
    arguments.rows = static_cast<size_t>(rows_of_tile(tile));
    arguments.depth = static_cast<size_t>(depth_);
    arguments.a = input;
    arguments.a_type = input_type_;
    arguments.a_row_stride = static_cast<size_t>(depth_);
    arguments.a_depth_stride = 1;
    arguments.w_type = weight_type;
    kernels_.pack_a(arguments, place, item, item + 1);
  }
  return worker.barrier();
}

void MatmulCode::make_panels(const StepBinding& step, Worker& worker, const Run& run) const noexcept {
  const int64_t items = items_of(run);
  RowRunner epilogue(worker.kernels);
  size_t current = 0, prepared = groups_.size();
  int64_t first = 0;  // item of the current group
  int64_t begin = run.begin, end = run.end;
  // Neighbouring weights are read faster by one thread than in turns: long runs, and short ones at the end.
  const int64_t longest = run.by_gemv ? gemv_run_items : 1;
  while (begin < end || worker.take_run(items, longest, begin, end)) {
    for (int64_t item = begin; item < end; ++item) {
      const auto size = [&] { return (run.by_gemv ? groups_[current].gemv : groups_[current].gemm).count * run.tiles; };
      while (item - first >= size()) first += size(), ++current;
      if (prepared != current) {
        groups_[current].scratch.prepare(epilogue, groups_[current].epilogue, step, worker);
        prepared = current;
      }
      make_panel(step, worker, run, epilogue, groups_[current], item - first);
    }
    begin = end;
  }
}

void MatmulCode::make_panel(const StepBinding& step, Worker& worker, const Run& run, RowRunner& epilogue,
                            const Group& group, int64_t item) const noexcept {
  const Cut& cut = run.by_gemv ? group.gemv : group.gemm;
  const int64_t tile = item % run.tiles, panel = item / run.tiles;
  const int64_t unit = panel / cut.pieces, piece = panel % cut.pieces;
  const int64_t unit_end = std::min(group.plan->columns, (unit + 1) * cut.unit);
  const int64_t first_column = unit * cut.unit + piece * cut.panel;
  const int64_t columns = std::min(unit_end, first_column + cut.panel) - first_column;
  const int64_t first_row = tile * run.tile_rows;
  const int64_t rows = std::min(run.tile_rows, run.rows - first_row);
  if (group.is_deferred) {
    const int64_t all = group.plan->columns;
    float* products = reinterpret_cast<float*>(worker.shared + layout_.shared_products) + group.products;
    multiply(step, worker, run, group, tile, first_column, columns,
             {products + first_row * all + first_column, run.rows * all, all, first_row, first_column});
    return;
  }
  const Accumulators products{reinterpret_cast<float*>(worker.scratch + layout_.products), rows * columns, columns,
                              first_row, first_column};
  multiply(step, worker, run, group, tile, first_column, columns, products);
  epilogue.set_accumulators(products);
  RowRange range;
  range.split = kernel_.rows.size();
  range.outer_begin = first_row;
  range.outer_end = first_row + rows;
  range.inner_begin = first_column / group.row;
  if (cut.pieces > 1) {
    range.inner_end = range.inner_begin + 1;
    range.column_begin = first_column - range.inner_begin * group.row;
    range.column_end = range.column_begin + columns;
  } else {
    range.inner_end = range.inner_begin + columns / group.row;
    range.column_end = group.row;
  }
  epilogue.run(range);
}

void MatmulCode::multiply(const StepBinding& step, Worker& worker, const Run& run, const Group& group, int64_t tile,
                          int64_t first_column, int64_t columns, const Accumulators& out) const noexcept {
  const int64_t rows = std::min(run.tile_rows, run.rows - tile * run.tile_rows);
  const char* input = run.input + tile * run.tile_rows * depth_ * plan::element_bytes(input_storage_);
  for (size_t i = 0; i < group.weights.size(); ++i) {
    const DType type = group.weights[i].type;
    const int64_t slot = group.plan->weights[i];
    float* products = const_cast<float*>(out.data) + static_cast<int64_t>(i) * out.weight_pitch;
    if (group.weights[i].is_blocks) {
      multiply_blocks(step, worker, run, slot, tile, first_column, columns, products, out.row_pitch);
      continue;
    }
    const char* weight =
        step.slots[static_cast<size_t>(slot)].data + first_column * depth_ * static_cast<int64_t>(element_bytes(type));
    if (run.by_gemv) {
      GemvArguments arguments{};
      arguments.rows = static_cast<size_t>(rows);
      arguments.columns = static_cast<size_t>(columns);
      arguments.depth = arguments.x_stride = arguments.w_stride = static_cast<size_t>(depth_);
      arguments.x = input;
      arguments.x_type = input_type_;
      arguments.w = weight;
      arguments.w_type = type;
      arguments.y = products;
      arguments.y_stride = static_cast<size_t>(out.row_pitch);
      kernels_.gemv(arguments);
      continue;
    }
    GemmArguments arguments{};
    arguments.rows = static_cast<size_t>(rows);
    arguments.columns = static_cast<size_t>(columns);
    arguments.depth = arguments.a_row_stride = arguments.w_column_stride = static_cast<size_t>(depth_);
    arguments.a_depth_stride = arguments.w_depth_stride = 1;
    arguments.a = input;
    arguments.a_type = input_type_;
    if (run.packed)
      arguments.packed_a =
          run.packed + static_cast<size_t>(tile) * packed_tile_bytes(std::min(most_rows_, gemm_row_tile));
    arguments.w = weight;
    arguments.w_type = type;
    arguments.c = products;
    arguments.c_stride = static_cast<size_t>(out.row_pitch);
    arguments.scratch = worker.scratch + layout_.gemm;
    kernels_.gemm_panel(arguments);
  }
}

Nvfp4Arguments MatmulCode::block_rows(const Run& run, int64_t tile) const noexcept {
  Nvfp4Arguments arguments{};
  arguments.rows = static_cast<size_t>(std::min(run.tile_rows, run.rows - tile * run.tile_rows));
  arguments.depth = arguments.x_stride = static_cast<size_t>(depth_);
  arguments.x = run.input + tile * run.tile_rows * depth_ * plan::element_bytes(input_storage_);
  arguments.x_type = input_type_;
  return arguments;
}

void MatmulCode::multiply_blocks(const StepBinding& step, Worker& worker, const Run& run, int64_t slot, int64_t tile,
                                 int64_t first_column, int64_t columns, float* products, int64_t pitch) const noexcept {
  Nvfp4Arguments arguments = block_rows(run, tile);
  arguments.columns = static_cast<size_t>(columns);
  arguments.first_column = static_cast<size_t>(first_column);
  if (run.packed)
    arguments.packed_x = run.packed + static_cast<size_t>(tile) * packed_tile_bytes(std::min(most_rows_, gemm_row_tile));
  arguments.tiles = reinterpret_cast<const uint8_t*>(step.slots[static_cast<size_t>(slot)].data);
  arguments.y = products;
  arguments.y_stride = static_cast<size_t>(pitch);
  arguments.scratch = worker.scratch + layout_.gemm;
  kernels_.nvfp4_multiply(arguments);
}

void MatmulCode::finish_deferred(const StepBinding& step, Worker& worker, const Run& run) const noexcept {
  for (const Group& group : groups_) {
    if (!group.is_deferred) continue;
    if (worker.barrier()) return;
    RowRunner epilogue(worker.kernels);
    group.scratch.prepare(epilogue, group.epilogue, step, worker);
    // All loops in one: the products of consecutive rows lie end to end.
    const float* products = reinterpret_cast<const float*>(worker.shared + layout_.shared_products) + group.products;
    epilogue.set_accumulators({products, run.rows * group.plan->columns, 0, 0, 0});
    run_all_rows(epilogue, group.epilogue, worker);
  }
}

}  // namespace weft::cpu
