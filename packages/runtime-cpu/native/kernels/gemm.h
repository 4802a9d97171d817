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

// Packs the blocks of rows first .. last - 1, units of one depth block from `unit`, one behind the other.
template <class Units>
void pack_a_blocks(const GemmArguments& g, const RowBlocks& blocks, size_t first, size_t last, size_t unit, size_t units,
                   float* out) {
  const size_t k = unit * Units::elements;
  const size_t depth = smaller(units * Units::elements, g.depth - k);
  const auto* a = static_cast<const typename Units::Element*>(g.a) + k * g.a_depth_stride;
  for_depth_parts(g.a_row_stride, depth, [&](size_t from, size_t part) {
    for (size_t block = first; block < last; ++block) {
      const size_t row = blocks.begin(block), rows = blocks.size(block);
      pack_rows<Units>({a + row * g.a_row_stride + from * g.a_depth_stride, g.a_row_stride, g.a_depth_stride, 0, part}, rows,
                       out + (row - blocks.begin(first)) * units + from / Units::elements * rows, rows, false);
    }
  });
}

template <class Units>
void pack_w_block(const GemmArguments& g, size_t unit, size_t units, float* out) {
  const size_t k = unit * Units::elements;
  const size_t depth = smaller(units * Units::elements, g.depth - k);
  const auto* w = static_cast<const typename Units::Element*>(g.w) + k * g.w_depth_stride;
  for_depth_parts(g.w_column_stride, depth, [&](size_t from, size_t part) {
    for (size_t n = 0; n < g.columns; n += column_tile)
      pack_rows<Units>({w + n * g.w_column_stride + from * g.w_depth_stride, g.w_column_stride, g.w_depth_stride, 0, part},
                       smaller(g.columns - n, column_tile), out + n * units + from / Units::elements * column_tile, column_tile,
                       true);
  });
  // The micro-kernel reads whole tiles: a vector without any column is zero.
  const size_t whole = g.columns / column_tile * column_tile, columns = g.columns - whole;
  if (columns == 0) return;
  for (size_t empty = (columns + Vec::lanes - 1) / Vec::lanes * Vec::lanes; empty < column_tile; empty += Vec::lanes)
    for (size_t u = 0; u < units; ++u) Vec::store(out + whole * units + u * column_tile + empty, Vec::zero());
}

// Calls function with the units of A, or of W.
template <class Function>
inline void with_a_units(const GemmArguments& g, Function&& function) {
  if (g.a_type == DType::bf16) function(SingleUnits<Bf16Source>{});
  else function(SingleUnits<F32Source>{});
}

void pack_a_rows(const GemmArguments& g, const RowBlocks& blocks, size_t first, size_t last, size_t unit, size_t units,
                 float* out) {
  if (multiplies_pairs(g.a_type, g.w_type)) pack_a_blocks<PairUnits>(g, blocks, first, last, unit, units, out);
  else with_a_units(g, [&](auto u) { pack_a_blocks<decltype(u)>(g, blocks, first, last, unit, units, out); });
}

void pack_w_panel(const GemmArguments& g, size_t unit, size_t units, float* out) {
  if (g.w_tiles != nullptr) return pack_tiled_panel(g, unit, units, out);
  if (multiplies_pairs(g.a_type, g.w_type)) return pack_w_block<PairUnits>(g, unit, units, out);
  with_weight_source(g.w_type, [&](auto source) { pack_w_block<SingleUnits<decltype(source)>>(g, unit, units, out); });
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
      else pack_a_rows(g, row_blocks, rb, rb + 1, unit, units, packed_rows);
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
  if constexpr (Tiles::available) {
    if (multiplies_by_tiles(g.a_type, g.w_type)) return gemm_by_tiles<Tiles>(g);
  } else if constexpr (PairDot::available) {
    if (multiplies_pairs(g.a_type, g.w_type)) return gemm_panel_of<PairMultiply>(g);
  }
  gemm_panel_of<SingleMultiply>(g);
}

size_t gemm_scratch_bytes(size_t rows, size_t columns, size_t depth, DType a_type, DType w_type, bool a_is_packed) {
  if constexpr (Tiles::available)
    if (multiplies_by_tiles(a_type, w_type)) return tile_scratch_bytes<Tiles>(rows, columns, depth, a_is_packed);
  const size_t units = smaller(units_of(depth, a_type, w_type), DepthBlocks::longest);
  const size_t tiles = (columns + column_tile - 1) / column_tile;
  const size_t packed_rows = a_is_packed ? 0 : smaller(rows, Vec::micro_rows) * units;
  return (whole_lines(tiles * column_tile * units) + whole_lines(packed_rows)) * sizeof(float);
}

size_t pack_a_bytes(size_t rows, size_t depth, DType a_type, DType w_type) {
  if constexpr (Tiles::available)
    if (multiplies_by_tiles(a_type, w_type)) return packed_tile_rows_bytes<Tiles>(rows, depth);
  return whole_lines(rows * units_of(depth, a_type, w_type)) * sizeof(float);
}

size_t pack_a_items(size_t rows, size_t depth, DType a_type, DType w_type) {
  if constexpr (Tiles::available)
    if (multiplies_by_tiles(a_type, w_type)) return packed_tile_rows_items<Tiles>(rows, depth);
  return RowBlocks(rows).count * DepthBlocks(units_of(depth, a_type, w_type)).count;
}

void pack_a(const GemmArguments& g, void* packed, size_t item_begin, size_t item_end) {
  if constexpr (Tiles::available)
    if (multiplies_by_tiles(g.a_type, g.w_type)) return pack_tile_items<Tiles>(tile_rows_of(g), packed, item_begin, item_end);
  const RowBlocks row_blocks(g.rows);
  const DepthBlocks depth_blocks(units_of(g.depth, g.a_type, g.w_type));
  for (size_t item = item_begin; item < item_end;) {
    const size_t kb = item / row_blocks.count, first = item % row_blocks.count;
    const size_t last = smaller(row_blocks.count, first + item_end - item);
    const size_t unit = depth_blocks.begin(kb), units = depth_blocks.size(kb);
    float* out = static_cast<float*>(packed) + unit * g.rows + row_blocks.begin(first) * units;
    pack_a_rows(g, row_blocks, first, last, unit, units, out);
    item += last - first;
  }
}

// Where tiles multiply, 128 x 1024 weights of bf16 from memory take gemv 22, 34 and 38 us for 4, 5 and 8 rows, and tiles
// 29 us for any number up to 16; of 128 x 3072 it is 59, 85 and 104 us beside 80 to 100 (Sapphire Rapids, one thread).
bool prefer_gemv(size_t rows, size_t columns, size_t depth, DType x_type, DType w_type) {
  (void)columns;
  (void)depth;
  return rows <= (multiplies_by_tiles(x_type, w_type) ? 4 : 8);
}

}  // namespace
}  // namespace weft::cpu
