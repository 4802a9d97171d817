// Products of bf16 rows with weights that are exact in bf16, by a unit that multiplies tiles.
//
// Loops, outermost first: blocks along depth; pack the panel's W to [16 columns][step][tile], where it stays in the second
// cache; pairs of 16 rows of X; pairs of 16 columns. The unit's two operands are 16 rows of W as they lie and 16 rows of X
// in pairs of places (tile_operands.h): so W, which is packed for each panel, is only copied, and X is transposed once.
// Packed X is laid out as [block along depth][16 rows][step][tile]. What is missing of a tile is zero.
#pragma once

namespace weft::cpu {
namespace {

inline bool multiplies_by_tiles(DType x_type, DType w_type) {
  return Tiles::available && x_type == DType::bf16 && (w_type == DType::bf16 || w_type == DType::f8e4m3);
}

inline size_t quotient_up(size_t a, size_t b) { return (a + b - 1) / b; }

// Steps of 32 places, in blocks that are added to C one after the other.
inline DepthBlocks tile_blocks(size_t depth) { return DepthBlocks(quotient_up(depth, 32), 64); }

// The rows of a product: X where it lies, or packed.
struct TileRows {
  const uint16_t* x;
  size_t row_stride, depth_stride;
  size_t rows, depth;
  const uint16_t* packed;
};

// Packs the tiles of rows first .. last - 1, `steps` steps from `step` on, one behind the other.
template <class T>
void pack_tile_rows(const TileRows& r, size_t first, size_t last, size_t step, size_t steps, uint16_t* out) {
  const size_t k = step * T::depth, depth = smaller(steps * T::depth, r.depth - k), units = quotient_up(depth, 2);
  for_depth_parts(r.row_stride, depth, [&](size_t from, size_t part) {
    for (size_t tile = first; tile < last; ++tile) {
      const size_t row = tile * T::side;
      uint16_t* pairs = out + (tile - first) * steps * T::elements + from * T::side;
      pack_strip<PairUnits>({r.x + row * r.row_stride + (k + from) * r.depth_stride, r.row_stride, r.depth_stride,
                             smaller(T::side, r.rows - row), part},
                            reinterpret_cast<float*>(pairs), T::side, true);
    }
  });
  const size_t packed = units * T::depth, all = steps * T::elements;
  for (size_t tile = 0; tile < last - first; ++tile) memset(out + tile * all + packed, 0, (all - packed) * sizeof(uint16_t));
}

// The columns of a panel: whole tiles, of which the first `skipped` columns are not wanted.
struct TileColumns {
  TileColumns(size_t skipped_columns, size_t wanted, size_t side)
      : skipped(skipped_columns), count(wanted), tiles(quotient_up(skipped + count, side)) {}
  size_t skipped, count, tiles;
};

// C[rows][columns] (+)= X * W^T. pack_w(step, steps, out) packs all tiles of columns, one behind the other.
template <class T, class PackW>
void multiply_tiles(const TileRows& r, const TileColumns& columns, float* c, size_t c_stride, bool accumulate, void* scratch,
                    PackW&& pack_w) {
  constexpr size_t pair = 2;
  const DepthBlocks blocks = tile_blocks(r.depth);
  const size_t row_tiles = quotient_up(r.rows, T::side);
  auto* w = static_cast<uint16_t*>(scratch);
  uint16_t* own = w + columns.tiles * blocks.block * T::elements;
  alignas(64) float sums[pair * pair * T::sums];
  [[maybe_unused]] const typename T::Session session;
  for (size_t kb = 0; kb < blocks.count; ++kb) {
    const size_t step = blocks.begin(kb), steps = blocks.size(kb), tile = steps * T::elements;
    pack_w(step, steps, w);
    for (size_t row_tile = 0; row_tile < row_tiles; row_tile += pair) {
      const size_t x_tiles = smaller(pair, row_tiles - row_tile);
      const uint16_t* x = own;
      if (r.packed != nullptr) x = r.packed + step * row_tiles * T::elements + row_tile * tile;
      else pack_tile_rows<T>(r, row_tile, row_tile + x_tiles, step, steps, own);
      for (size_t n = 0; n < columns.tiles; n += pair) {
        const size_t w_tiles = smaller(pair, columns.tiles - n);
        T::multiply(w_tiles, x_tiles, steps, w + n * tile, x, tile, sums);
        for (size_t i = 0; i < w_tiles; ++i) {
          const size_t column = (n + i) * T::side, from = n + i == 0 ? columns.skipped : 0;
          const size_t to = smaller(columns.skipped + columns.count - column, T::side);
          for (size_t j = 0; j < x_tiles; ++j) {
            const size_t row = (row_tile + j) * T::side;
            T::put(sums + (i * x_tiles + j) * T::sums, c + row * c_stride + (column + from - columns.skipped), c_stride,
                   smaller(T::side, r.rows - row), from, to, accumulate || kb > 0);
          }
        }
      }
    }
  }
}

template <class T>
size_t tile_scratch_bytes(size_t rows, size_t columns, size_t depth, bool x_is_packed) {
  const size_t own = x_is_packed ? 0 : smaller(quotient_up(rows, T::side), 2);
  return (quotient_up(columns, T::side) + own) * tile_blocks(depth).block * T::elements * sizeof(uint16_t);
}

template <class T>
size_t packed_tile_rows_bytes(size_t rows, size_t depth) {
  return quotient_up(rows, T::side) * quotient_up(depth, T::depth) * T::elements * sizeof(uint16_t);
}

// An item is 16 rows along one block of depth.
template <class T>
size_t packed_tile_rows_items(size_t rows, size_t depth) {
  return quotient_up(rows, T::side) * tile_blocks(depth).count;
}

template <class T>
void pack_tile_items(const TileRows& r, void* packed, size_t item_begin, size_t item_end) {
  const DepthBlocks blocks = tile_blocks(r.depth);
  const size_t row_tiles = quotient_up(r.rows, T::side);
  for (size_t item = item_begin; item < item_end;) {
    const size_t kb = item / row_tiles, first = item % row_tiles, last = smaller(row_tiles, first + item_end - item);
    const size_t step = blocks.begin(kb), steps = blocks.size(kb);
    pack_tile_rows<T>(r, first, last, step, steps,
                      static_cast<uint16_t*>(packed) + (step * row_tiles + first * steps) * T::elements);
    item += last - first;
  }
}

// One tile of W: 16 columns, of which there are `columns`, and 32 places, of which there are `depth`.
template <class T, class Element>
inline void pack_w_tile(const Element* w, size_t column_stride, size_t depth_stride, size_t columns, size_t depth,
                        uint16_t* out) {
  if (depth_stride == 1 && columns == T::side && depth == T::depth) {
    WEFT_UNROLL(16)
    for (size_t n = 0; n < T::side; ++n) {
      const Element* row = w + n * column_stride;
      T::store_row(out + n * T::depth, T::load_row(row));
      // Rows are too short for the hardware's prefetcher: ask for the same place of the next 16.
      prefetch(reinterpret_cast<uintptr_t>(row + T::side * column_stride), 1);
    }
    return;
  }
  if constexpr (sizeof(Element) == sizeof(uint16_t)) {
    if (column_stride == 1) {
      alignas(64) uint16_t pairs[T::elements] = {};
      pack_strip<PairUnits>({w, 1, depth_stride, columns, depth}, reinterpret_cast<float*>(pairs), T::side, true);
      return T::turn(out, pairs);
    }
  }
  Element rows[T::elements] = {};
  for (size_t n = 0; n < columns; ++n)
    for (size_t k = 0; k < depth; ++k) rows[n * T::depth + k] = w[n * column_stride + k * depth_stride];
  for (size_t n = 0; n < T::side; ++n) T::store_row(out + n * T::depth, T::load_row(rows + n * T::depth));
}

template <class T, class Element>
void pack_w_tiles(const GemmArguments& g, size_t first_step, size_t steps, uint16_t* out) {
  const auto* w = static_cast<const Element*>(g.w);
  for (size_t n = 0; n < g.columns; n += T::side)
    for (size_t step = first_step; step < first_step + steps; ++step, out += T::elements) {
      const size_t k = step * T::depth;
      pack_w_tile<T>(w + n * g.w_column_stride + k * g.w_depth_stride, g.w_column_stride, g.w_depth_stride,
                     smaller(T::side, g.columns - n), smaller(T::depth, g.depth - k), out);
    }
}

inline TileRows tile_rows_of(const GemmArguments& g) {
  return {static_cast<const uint16_t*>(g.a), g.a_row_stride, g.a_depth_stride, g.rows, g.depth,
          static_cast<const uint16_t*>(g.packed_a)};
}

template <class T>
void gemm_by_tiles(const GemmArguments& g) {
  multiply_tiles<T>(tile_rows_of(g), TileColumns(0, g.columns, T::side), g.c, g.c_stride, g.accumulate, g.scratch,
                    [&](size_t step, size_t steps, uint16_t* out) {
                      if (g.w_type == DType::bf16) pack_w_tiles<T, uint16_t>(g, step, steps, out);
                      else pack_w_tiles<T, uint8_t>(g, step, steps, out);
                    });
}

}  // namespace
}  // namespace weft::cpu
