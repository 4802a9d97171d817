// Matrix product of one panel of columns.
//
// Loops, outermost first: blocks along depth; pack the panel's W block to [tile][unit][column_tile] (it stays in L2);
// blocks of rows, whose packed A (micro_rows * 384 units) stays in L1; tiles of columns. Packed A is laid out as
// [depth block][row block][unit][row], without padding.
#pragma once

namespace weft::cpu {
namespace {

inline size_t whole_lines(size_t floats) { return (floats + 15) / 16 * 16; }

inline bool multiplies_pairs(DType a_type, DType w_type) {
  return PairDot::available && a_type == DType::bf16 && w_type == DType::bf16;
}
inline size_t units_of(size_t depth, DType a_type, DType w_type) {
  return multiplies_pairs(a_type, w_type) ? (depth + 1) / 2 : depth;
}

// Packs `rows` rows from `row`, units of one depth block from `unit`.
template <class Units>
void pack_a_block(const GemmArguments& g, size_t row, size_t rows, size_t unit, size_t units, float* out) {
  const size_t k = unit * Units::elements;
  const auto* a = static_cast<const typename Units::Element*>(g.a) + row * g.a_row_stride + k * g.a_depth_stride;
  pack_rows<Units>({a, g.a_row_stride, g.a_depth_stride, 0, smaller(units * Units::elements, g.depth - k)}, rows, out, rows, false);
}

template <class Units>
void pack_w_block(const GemmArguments& g, size_t unit, size_t units, float* out) {
  const size_t k = unit * Units::elements;
  const size_t depth = smaller(units * Units::elements, g.depth - k);
  for (size_t n = 0; n < g.columns; n += column_tile, out += units * column_tile) {
    const auto* w = static_cast<const typename Units::Element*>(g.w) + n * g.w_column_stride + k * g.w_depth_stride;
    const size_t columns = smaller(g.columns - n, column_tile);
    pack_rows<Units>({w, g.w_column_stride, g.w_depth_stride, 0, depth}, columns, out, column_tile, true);
    // The micro-kernel reads whole tiles: a vector without any column is zero.
    for (size_t empty = (columns + Vec::lanes - 1) / Vec::lanes * Vec::lanes; empty < column_tile; empty += Vec::lanes)
      for (size_t u = 0; u < units; ++u) Vec::store(out + u * column_tile + empty, Vec::zero());
  }
}

// Calls function with the units of A, or of W.
template <class Function>
inline void with_a_units(const GemmArguments& g, Function&& function) {
  if (g.a_type == DType::bf16) function(SingleUnits<Bf16Source>{});
  else function(SingleUnits<F32Source>{});
}

void pack_a_rows(const GemmArguments& g, size_t row, size_t rows, size_t unit, size_t units, float* out) {
  if (multiplies_pairs(g.a_type, g.w_type)) pack_a_block<PairUnits>(g, row, rows, unit, units, out);
  else with_a_units(g, [&](auto u) { pack_a_block<decltype(u)>(g, row, rows, unit, units, out); });
}

void pack_w_panel(const GemmArguments& g, size_t unit, size_t units, float* out) {
  if (g.w_tiles != nullptr) return pack_tiled_panel(g, unit, units, out);
  if (multiplies_pairs(g.a_type, g.w_type)) return pack_w_block<PairUnits>(g, unit, units, out);
  with_source(g.w_type, [&](auto source) { pack_w_block<SingleUnits<decltype(source)>>(g, unit, units, out); });
}

template <class Multiply>
void gemm_panel_of(const GemmArguments& g) {
  const RowBlocks row_blocks(g.rows);
  const DepthBlocks depth_blocks((g.depth + Multiply::elements - 1) / Multiply::elements);
  const size_t tiles = (g.columns + column_tile - 1) / column_tile;
  float* packed_w = static_cast<float*>(g.scratch);
  float* packed_rows = packed_w + whole_lines(tiles * column_tile * depth_blocks.block);
  for (size_t kb = 0; kb < depth_blocks.count; ++kb) {
    const size_t unit = depth_blocks.begin(kb), units = depth_blocks.size(kb);
    pack_w_panel(g, unit, units, packed_w);
    for (size_t rb = 0; rb < row_blocks.count; ++rb) {
      const size_t row = row_blocks.begin(rb), rows = row_blocks.size(rb);
      const float* a = packed_rows;
      if (g.packed_a != nullptr) a = static_cast<const float*>(g.packed_a) + unit * g.rows + row * units;
      else pack_a_rows(g, row, rows, unit, units, packed_rows);
      micro_rows_dispatch<Multiply, 1>(rows, units, a, packed_w, units * column_tile, g.c + row * g.c_stride, g.c_stride,
                                       g.columns, kb > 0 || g.accumulate);
    }
  }
}

void gemm_panel(const GemmArguments& g) {
  if (g.depth == 0) {
    if (g.accumulate) return;
    for (size_t m = 0; m < g.rows; ++m) fill_row(g.c + m * g.c_stride, 0.0f, g.columns);
    return;
  }
  if constexpr (PairDot::available)
    if (multiplies_pairs(g.a_type, g.w_type)) return gemm_panel_of<PairMultiply>(g);
  gemm_panel_of<SingleMultiply>(g);
}

size_t gemm_scratch_bytes(size_t rows, size_t columns, size_t depth, DType a_type, DType w_type, bool a_is_packed) {
  const size_t units = smaller(units_of(depth, a_type, w_type), DepthBlocks::longest);
  const size_t tiles = (columns + column_tile - 1) / column_tile;
  const size_t packed_rows = a_is_packed ? 0 : smaller(rows, Vec::micro_rows) * units;
  return (whole_lines(tiles * column_tile * units) + whole_lines(packed_rows)) * sizeof(float);
}

size_t pack_a_bytes(size_t rows, size_t depth, DType a_type, DType w_type) {
  return whole_lines(rows * units_of(depth, a_type, w_type)) * sizeof(float);
}

size_t pack_a_items(size_t rows, size_t depth, DType a_type, DType w_type) {
  return RowBlocks(rows).count * DepthBlocks(units_of(depth, a_type, w_type)).count;
}

void pack_a(const GemmArguments& g, void* packed, size_t item_begin, size_t item_end) {
  const RowBlocks row_blocks(g.rows);
  const DepthBlocks depth_blocks(units_of(g.depth, g.a_type, g.w_type));
  for (size_t item = item_begin; item < item_end; ++item) {
    const size_t kb = item / row_blocks.count, rb = item % row_blocks.count;
    const size_t unit = depth_blocks.begin(kb), units = depth_blocks.size(kb);
    const size_t row = row_blocks.begin(rb), rows = row_blocks.size(rb);
    pack_a_rows(g, row, rows, unit, units, static_cast<float*>(packed) + unit * g.rows + row * units);
  }
}

bool prefer_gemv(size_t rows, size_t columns, size_t depth) {
  (void)columns;
  (void)depth;
  return rows <= 8;
}

}  // namespace
}  // namespace weft::cpu
