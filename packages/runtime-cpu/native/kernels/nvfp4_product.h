// By which way rows are multiplied with NVFP4 weights: tiles, where the processor has them and X is bf16; whole numbers,
// where it multiplies bytes; else f32.
#pragma once

namespace weft::cpu {
namespace {

inline bool nvfp4_tiles_multiply(size_t rows, DType x_type) {
  return multiplies_by_tiles(x_type, DType::bf16) && rows > nvfp4_streamed_before_tiles;
}

size_t nvfp4_most_streamed_rows(DType x_type) {
  static_assert(whole_rows == nvfp4_streamed_rows);
  return multiplies_by_tiles(x_type, DType::bf16) ? nvfp4_streamed_before_tiles : nvfp4_streamed_rows;
}

inline size_t nvfp4_few_pack_bytes(size_t rows, size_t depth) {
  if constexpr (ByteDot::available) return whole_pack_bytes(rows, depth);
  return whole_lines(rows * depth) * sizeof(float);
}

size_t nvfp4_pack_bytes(size_t rows, size_t depth, DType x_type) {
  if constexpr (Tiles::available)
    if (nvfp4_tiles_multiply(rows, x_type)) {
      const size_t tiles = packed_tile_rows_bytes<Tiles>(rows, depth), few = nvfp4_few_pack_bytes(nvfp4_streamed_before_tiles, depth);
      return tiles < few ? few : tiles;
    }
  return nvfp4_few_pack_bytes(rows, depth);
}

size_t nvfp4_pack_items(size_t rows, size_t depth, DType x_type) {
  if constexpr (Tiles::available)
    if (nvfp4_tiles_multiply(rows, x_type)) return packed_tile_rows_items<Tiles>(rows, depth);
  return ByteDot::available ? rows : nvfp4_f32_pack_items(rows, depth);
}

void nvfp4_pack(const Nvfp4Arguments& g, void* packed, size_t item_begin, size_t item_end) {
  if constexpr (Tiles::available)
    if (nvfp4_tiles_multiply(g.rows, g.x_type)) return pack_tile_items<Tiles>(tile_rows_of(g), packed, item_begin, item_end);
  if constexpr (ByteDot::available) {
    const size_t blocks = whole_row_blocks(g.depth);
    pack_whole_rows<ByteDot>(g, item_begin, item_end - item_begin, 0, blocks, static_cast<WholeBlock*>(packed) + item_begin * blocks, blocks);
  } else {
    nvfp4_f32_pack(g, static_cast<float*>(packed), item_begin, item_end);
  }
}

inline size_t nvfp4_few_scratch_bytes(size_t rows, size_t depth, DType x_type, bool x_is_packed) {
  if constexpr (ByteDot::available) return whole_scratch_bytes<ByteDot>(rows, depth, x_is_packed);
  return nvfp4_f32_scratch_bytes(rows, depth, x_type, x_is_packed);
}

size_t nvfp4_scratch_bytes(size_t rows, size_t columns, size_t depth, DType x_type, bool x_is_packed) {
  if constexpr (Tiles::available)
    if (nvfp4_tiles_multiply(rows, x_type)) {
      const size_t tiles = nvfp4_tile_scratch_bytes<Tiles>(rows, columns, depth, x_is_packed);
      const size_t few = nvfp4_few_scratch_bytes(nvfp4_streamed_before_tiles, depth, x_type, x_is_packed);
      return tiles < few ? few : tiles;
    }
  return nvfp4_few_scratch_bytes(rows, depth, x_type, x_is_packed);
}

void nvfp4_multiply(const Nvfp4Arguments& g) {
  if (g.rows == 0 || g.columns == 0) return;
  if (g.depth == 0) {
    for (size_t r = 0; r < g.rows; ++r) fill_row(g.y + r * g.y_stride, 0.0f, g.columns);
    return;
  }
  if constexpr (Tiles::available)
    if (nvfp4_tiles_multiply(g.rows, g.x_type)) return nvfp4_by_tiles<Tiles>(g);
  if constexpr (ByteDot::available) return whole_multiply<ByteDot>(g);
  if (g.rows <= nvfp4_streamed_rows) nvfp4_stream(g);
  else nvfp4_gemm(g);
}

}  // namespace
}  // namespace weft::cpu
