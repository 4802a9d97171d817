// The register block of the matrix product: `rows` rows of A against a tile of micro_vectors vectors of columns.
//
// Along depth the operands are sequences of 32-bit units: one f32 each, or a pair of bf16 for PairMultiply.
#pragma once

namespace weft::cpu {
namespace {

constexpr size_t column_tile = Vec::micro_vectors * Vec::lanes;

inline size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

struct SingleMultiply {
  static constexpr size_t elements = 1;  // depth elements per unit
  static Vec::F32 step(Vec::F32 sum, Vec::F32 a, Vec::F32 b) { return Vec::multiply_add(a, b, sum); }
};
struct PairMultiply {
  static constexpr size_t elements = 2;
  static Vec::F32 step(Vec::F32 sum, Vec::F32 a, Vec::F32 b) { return PairDot::dot(sum, a, b); }
};

// C[rows][columns] (+)= A * B over `units` units. Unit u of row r of A is a[u * a_unit_stride + r * a_row_stride];
// B is [units][column_tile]; columns <= column_tile are stored. `next` walks next_step floats per unit through what will
// be read soon, asking for it.
template <class Multiply, size_t rows, size_t a_unit_stride, size_t a_row_stride>
inline void micro_kernel(size_t units, const float* a, const float* b, float* c, size_t c_stride, size_t columns,
                         bool accumulate, const float* next, size_t next_step) {
  constexpr size_t vectors = Vec::micro_vectors;
  Vec::F32 sum[rows][vectors];
  WEFT_UNROLL(32)
  for (size_t r = 0; r < rows; ++r)
    WEFT_UNROLL(8)
    for (size_t v = 0; v < vectors; ++v) sum[r][v] = Vec::zero();
  // C is needed at the very end only; rows of a wide C tend to share cache sets.
  WEFT_UNROLL(32)
  for (size_t r = 0; r < rows; ++r) {
    __builtin_prefetch(c + r * c_stride, 1, 3);
    if (column_tile > 16) __builtin_prefetch(c + r * c_stride + 16, 1, 3);
  }
  WEFT_UNROLL(4)
  for (size_t u = 0; u < units; ++u) {
    __builtin_prefetch(next + u * next_step, 0, 2);
    Vec::F32 column[vectors];
    WEFT_UNROLL(8)
    for (size_t v = 0; v < vectors; ++v) column[v] = Vec::load(b + u * column_tile + v * Vec::lanes);
    WEFT_UNROLL(32)
    for (size_t r = 0; r < rows; ++r) {
      const Vec::F32 row = Vec::set(a[u * a_unit_stride + r * a_row_stride]);
      WEFT_UNROLL(8)
      for (size_t v = 0; v < vectors; ++v) sum[r][v] = Multiply::step(sum[r][v], row, column[v]);
    }
  }
  if (columns == column_tile) {
    WEFT_UNROLL(32)
    for (size_t r = 0; r < rows; ++r)
      WEFT_UNROLL(8)
      for (size_t v = 0; v < vectors; ++v) {
        float* out = c + r * c_stride + v * Vec::lanes;
        Vec::store(out, accumulate ? Vec::add(Vec::load(out), sum[r][v]) : sum[r][v]);
      }
    return;
  }
  WEFT_UNROLL(32)
  for (size_t r = 0; r < rows; ++r)
    WEFT_UNROLL(8)
    for (size_t v = 0; v < vectors; ++v) {
      if (v * Vec::lanes >= columns) break;
      const size_t count = columns - v * Vec::lanes < Vec::lanes ? columns - v * Vec::lanes : Vec::lanes;
      float* out = c + r * c_stride + v * Vec::lanes;
      const Vec::F32 result = accumulate ? Vec::add(load_some(out, count), sum[r][v]) : sum[r][v];
      store_some(out, result, count);
    }
}

// One block of `rows` <= micro_rows rows against consecutive tiles: B is [tiles][b_tile_stride]. The unit stride of A
// is the number of rows (packed), or 1 with row_stride between rows (row-major) when row_stride is not 1.
template <class Multiply, size_t row_stride, size_t rows>
void micro_row_block(size_t units, const float* a, const float* b, size_t b_tile_stride, float* c, size_t c_stride,
                     size_t columns, bool accumulate) {
  constexpr size_t unit_stride = row_stride == 1 ? rows : 1;
  // The next block of packed rows lies behind this one, in a farther cache: each tile fetches its share of it.
  const size_t tiles = (columns + column_tile - 1) / column_tile, share = tiles == 0 ? 0 : (rows + tiles - 1) / tiles;
  const float* next = a + units * rows;
  for (size_t n = 0; n < columns; n += column_tile, b += b_tile_stride, next += units * share)
    micro_kernel<Multiply, rows, unit_stride, row_stride>(units, a, b, c + n, c_stride, smaller(columns - n, column_tile),
                                                          accumulate, next, share);
}

template <class Multiply, size_t row_stride, size_t rows = Vec::micro_rows>
inline void micro_rows_dispatch(size_t count, size_t units, const float* a, const float* b, size_t b_tile_stride, float* c,
                                size_t c_stride, size_t columns, bool accumulate) {
  if constexpr (rows > 0) {
    if (count == rows)
      micro_row_block<Multiply, row_stride, rows>(units, a, b, b_tile_stride, c, c_stride, columns, accumulate);
    else
      micro_rows_dispatch<Multiply, row_stride, rows - 1>(count, units, a, b, b_tile_stride, c, c_stride, columns, accumulate);
  }
}

// Cuts `rows` into blocks of at most `longest`, as equal as possible: 16 rows are 8 + 8, not 14 + 2.
struct RowBlocks {
  explicit RowBlocks(size_t rows, size_t longest = Vec::micro_rows)
      : count((rows + longest - 1) / longest),
        base(count == 0 ? 0 : rows / count), longer(count == 0 ? 0 : rows % count) {}
  size_t begin(size_t block) const { return block * base + (block < longer ? block : longer); }
  size_t size(size_t block) const { return base + (block < longer ? 1 : 0); }
  size_t count, base, longer;
};

// Cuts the units along depth into equal blocks short enough for the caches. Depends on the depth alone: each block's
// sum is added to C as a whole, so the cut decides the order of additions.
struct DepthBlocks {
  static constexpr size_t longest = 384;
  explicit DepthBlocks(size_t all_units, size_t most = longest)
      : units(all_units), count((all_units + most - 1) / most), block(count == 0 ? 0 : (all_units + count - 1) / count) {}
  size_t begin(size_t index) const { return index * block; }
  size_t size(size_t index) const { return units - index * block < block ? units - index * block : block; }
  size_t units, count, block;
};

}  // namespace
}  // namespace weft::cpu
