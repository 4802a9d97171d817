// Sizes and decisions of matmul kernels; matmul_run.cc executes them.
#include "exec/matmul_code.h"

#include <algorithm>

#include "exec/matmul_sizes.h"
#include "validate.h"

namespace weft::cpu {

MatmulCode::MatmulCode(const plan::MatmulKernel& kernel, const plan::SymbolBounds& bounds, const KernelTable& kernels,
                       int threads)
    : kernel_(kernel), kernels_(kernels), prologue_(compile_row_program(kernel.prologue, kernel.slots, bounds)),
      depth_(kernel.contracted), most_rows_(1) {
  for (const plan::Loop& loop : kernel.rows) most_rows_ *= plan::highest_value(bounds, loop.extent);
  // f16 inputs keep their rounding, but are stored as f32: kernels multiply f32 or bf16. So do those whose sums are to be
  // ordered: tiles, which add up otherwise, multiply bf16 only.
  const bool is_bf16 = kernel.input_dtype == plan::PlanDtype::bf16 && !kernel.ordered_sums;
  input_storage_ = is_bf16 ? plan::PlanDtype::bf16 : plan::PlanDtype::f32;
  input_type_ = kernel_dtype(input_storage_);
  for (const plan::MatmulGroup& group : kernel.groups) add_group(group, bounds, threads);
  for (const Group& group : groups_)
    for (const Operand& weight : group.weights) {
      packs_ = packs_ && weight == first_weight();
      has_blocks_ = has_blocks_ || weight.is_blocks;
    }
  lay_out();
}

void MatmulCode::add_group(const plan::MatmulGroup& plan_group, const plan::SymbolBounds& bounds, int threads) {
  Group group;
  group.plan = &plan_group;
  group.epilogue = compile_row_program(plan_group.epilogue, kernel_.slots, bounds);
  group.row = plan::highest_value(bounds, plan_group.epilogue.row.extent);
  group.is_deferred = !group.epilogue.is_chunkable && group.row > widest_whole_row;
  for (const int64_t slot : plan_group.weights) {
    const plan::PlanDtype dtype = kernel_.slots[static_cast<size_t>(slot)].dtype;
    const bool is_blocks = dtype == plan::PlanDtype::nvfp4;
    group.weights.push_back({is_blocks ? DType::f32 : kernel_dtype(dtype), is_blocks});
    group.column_bytes += is_blocks ? depth_ / 16 * 9 : depth_ * plan::element_bytes(dtype);
  }
  // gemv: pieces small enough that all threads finish together, large enough to be one long read each.
  const bool is_grouped = std::any_of(group.weights.begin(), group.weights.end(), [](const Operand& one) { return one.is_blocks; });
  const int64_t even = plan_group.columns / (threads * (is_grouped ? gemv_block_pieces_per_thread : gemv_pieces_per_thread));
  const int64_t least = std::max<int64_t>(least_piece_bytes / group.column_bytes, 8);
  const int64_t most = std::max<int64_t>(most_piece_bytes / group.column_bytes, 8);
  const int64_t target = std::min(std::clamp(even, least, most), most_gemv_columns);
  // Four groups of rows in tiles are read side by side, and of a group all rows.
  group.gemv = cut(group, is_grouped ? (target + 63) / 64 * 64 : target);
  // gemm: a few panels for each thread, in whole register tiles.
  const int64_t tile = static_cast<int64_t>(kernels_.gemm_column_tile);
  const int64_t share = plan_group.columns / (threads * gemm_panels_per_thread) / tile * tile;
  group.gemm = cut(group, std::clamp(share, tile, std::max(tile, gemm_panel_columns)));
  groups_.push_back(std::move(group));
}

MatmulCode::Cut MatmulCode::cut(const Group& group, int64_t target) const {
  const int64_t columns = group.plan->columns;
  Cut cut;
  if (group.is_deferred || (group.epilogue.is_chunkable && group.row > target)) {
    // A panel is part of a row: even pieces, in whole register tiles.
    const int64_t tile = static_cast<int64_t>(kernels_.gemm_column_tile);
    cut.unit = group.is_deferred ? columns : group.row;
    const int64_t pieces = (cut.unit + target - 1) / target;
    cut.panel = ((cut.unit + pieces - 1) / pieces + tile - 1) / tile * tile;
    cut.pieces = (cut.unit + cut.panel - 1) / cut.panel;
  } else {
    cut.unit = cut.panel = std::min(std::max<int64_t>(target / group.row, 1) * group.row, columns);
  }
  cut.count = (columns + cut.unit - 1) / cut.unit * cut.pieces;
  return cut;
}

bool MatmulCode::by_gemv(int64_t rows) const {
  if (has_blocks_ && static_cast<size_t>(rows) > kernels_.nvfp4_most_streamed_rows(input_type_)) return false;
  return kernels_.prefer_gemv(static_cast<size_t>(rows), static_cast<size_t>(groups_.front().plan->columns),
                              static_cast<size_t>(depth_), input_type_, first_weight().type);
}

size_t MatmulCode::packed_tile_bytes(int64_t rows) const {
  const size_t count = static_cast<size_t>(rows), depth = static_cast<size_t>(depth_);
  const size_t bytes = first_weight().is_blocks ? kernels_.nvfp4_pack_bytes(count, depth, input_type_)
                                                : kernels_.pack_a_bytes(count, depth, input_type_, first_weight().type);
  return (bytes + 63) / 64 * 64;
}

void MatmulCode::lay_out() {
  ScratchLayout own, shared;
  int64_t most_gemv = 0;
  while (most_gemv < std::min(most_rows_, most_gemv_rows) && by_gemv(most_gemv + 1)) ++most_gemv;
  const int64_t tile_rows = std::min(most_rows_, gemm_row_tile);
  const bool uses_gemm = most_rows_ > most_gemv;
  size_t products = 0, gemm = 0, deferred = 0;
  // Prologue and epilogues take turns in one place.
  ScratchLayout programs;
  layout_.prologue = RowScratch(programs, prologue_.ops.size(), prologue_.scratch_floats);
  size_t program_bytes = programs.bytes();
  for (Group& group : groups_) {
    ScratchLayout epilogue;
    group.scratch = RowScratch(epilogue, group.epilogue.ops.size(), group.epilogue.scratch_floats);
    program_bytes = std::max(program_bytes, epilogue.bytes());
    const size_t weights = group.weights.size();
    if (group.is_deferred) {
      group.products = deferred;
      deferred += static_cast<size_t>(most_rows_ * group.plan->columns) * weights;
    } else {
      const int64_t by_gemv = most_gemv * group.gemv.panel;
      const int64_t by_gemm = uses_gemm ? tile_rows * group.gemm.panel : 0;
      products = std::max(products, weights * static_cast<size_t>(std::max(by_gemv, by_gemm)));
    }
    const size_t depth = static_cast<size_t>(depth_);
    for (const Operand& weight : group.weights) {
      const size_t panel = static_cast<size_t>(group.gemm.panel), rows = static_cast<size_t>(tile_rows);
      if (weight.is_blocks) {
        for (int64_t few = 1; few <= most_gemv; ++few)
          gemm = std::max(gemm, kernels_.nvfp4_scratch_bytes(static_cast<size_t>(few), static_cast<size_t>(group.gemv.panel),
                                                             depth, input_type_, true));
        if (uses_gemm) gemm = std::max(gemm, kernels_.nvfp4_scratch_bytes(rows, panel, depth, input_type_, packs_));
      } else if (uses_gemm) {
        gemm = std::max(gemm, kernels_.gemm_scratch_bytes(rows, panel, depth, input_type_, weight.type, packs_));
      }
    }
  }
  own.add(program_bytes);
  const int64_t input_bytes = plan::element_bytes(input_storage_);
  layout_.input = own.add(static_cast<size_t>(std::min(most_rows_ * depth_, most_private_floats) * input_bytes));
  // Few rows for blocks: of a private input each thread packs its own, others they pack together.
  size_t private_packed = 0, packed = 0;
  for (int64_t few = 1; has_blocks_ && few <= most_gemv; ++few) {
    const size_t rows = static_cast<size_t>(few), depth = static_cast<size_t>(depth_);
    if (kernels_.nvfp4_pack_items(rows, depth, input_type_) == 0) continue;
    packed = std::max(packed, kernels_.nvfp4_pack_bytes(rows, depth, input_type_));
    if (few * depth_ <= most_private_floats) private_packed = packed;
  }
  layout_.packed_few = own.add(private_packed);
  layout_.products = own.add(products * sizeof(float));
  layout_.gemm = own.add(gemm);
  layout_.per_thread = own.bytes();
  layout_.shared_input = shared.add(static_cast<size_t>(most_rows_ * depth_ * input_bytes));
  if (uses_gemm && packs_) {
    const int64_t tiles = (most_rows_ + gemm_row_tile - 1) / gemm_row_tile;
    packed = std::max(packed, static_cast<size_t>(tiles) * packed_tile_bytes(tile_rows));
  }
  layout_.packed = shared.add(packed);
  layout_.shared_products = shared.add(deferred * sizeof(float));
  layout_.shared = shared.bytes();
}

}  // namespace weft::cpu
