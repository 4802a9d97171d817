// NVFP4 weights against many rows of bf16, by tiles: codes are unpacked to code times scale, which bf16 holds exactly, a
// group of 16 columns along 32 places at a time.
#pragma once

namespace weft::cpu {
namespace {

// For 1024 x 1024 weights tiles take about 105 us with 1 to 16 rows; streaming takes 80, 125 and 214 us with 2, 4 and 8
// (Sapphire Rapids, one thread).
constexpr size_t nvfp4_streamed_before_tiles = 4;

inline TileRows tile_rows_of(const Nvfp4Arguments& g) {
  return {static_cast<const uint16_t*>(g.x), g.x_stride, 1, g.rows, g.depth, static_cast<const uint16_t*>(g.packed_x)};
}

// A range of columns may begin in the middle of a group.
template <class T>
size_t nvfp4_tile_scratch_bytes(size_t rows, size_t columns, size_t depth, bool x_is_packed) {
  return tile_scratch_bytes<T>(rows, columns + T::side - 1, depth, x_is_packed);
}

template <class T>
void nvfp4_by_tiles(const Nvfp4Arguments& g) {
  static_assert(T::side == nvfp4_group_rows && T::depth == 2 * nvfp4_block);
  const Nvfp4Tiles matrix(g.tiles, g.depth);
  const size_t first = g.first_column / T::side * T::side, blocks = g.depth / nvfp4_block;
  const TileColumns columns(g.first_column - first, g.columns, T::side);
  const auto pack_w = [&](size_t step, size_t steps, uint16_t* out) {
    for (size_t tile = 0; tile < columns.tiles; ++tile) {
      const size_t row = first + tile * T::side;
      for (size_t i = step; i < step + steps; ++i, out += T::elements)
        T::unpack_nvfp4(out, matrix.word(row, 4 * i), matrix.scale(row, 2 * i), smaller(2, blocks - 2 * i));
    }
  };
  multiply_tiles<T>(tile_rows_of(g), columns, g.y, g.y_stride, false, g.scratch, pack_w);
}

}  // namespace
}  // namespace weft::cpu
