// NVFP4 weights against many rows of X. Loops, outermost first: blocks along depth; tiles of columns, whose codes are
// unpacked to f32 (they stay in L1), their scales beside them; blocks of rows. The register block keeps two sums for each
// element, that of the current block of 16 and the total, which waits in Y from one depth block to the next: so nothing is
// rounded otherwise than by the streaming product, and no cut of depth shows.
#pragma once

namespace weft::cpu {
namespace {

constexpr size_t nvfp4_depth = 128;
constexpr size_t nvfp4_vectors = nvfp4_strips_per_group < Vec::micro_vectors ? Vec::micro_vectors : nvfp4_strips_per_group;
constexpr size_t nvfp4_tile = nvfp4_vectors * Vec::lanes;  // columns: whole groups
// Half of the ordinary block's sums, as each element has two.
constexpr size_t nvfp4_rows = Vec::micro_rows * Vec::micro_vectors / 2 / nvfp4_vectors < 1 ? 1 : Vec::micro_rows * Vec::micro_vectors / 2 / nvfp4_vectors;

// Y[rows][nvfp4_tile] over `blocks` blocks of 16. x is [k][rows], w [k][nvfp4_tile], scales [block][nvfp4_tile].
template <size_t rows>
inline void nvfp4_micro_kernel(size_t blocks, const float* x, const float* w, const float* scales, float* y, size_t y_stride, bool resume) {
  constexpr size_t vectors = nvfp4_vectors;
  Vec::F32 total[rows][vectors];
  WEFT_UNROLL(16)
  for (size_t r = 0; r < rows; ++r)
    WEFT_UNROLL(8)
    for (size_t v = 0; v < vectors; ++v) total[r][v] = resume ? Vec::load(y + r * y_stride + v * Vec::lanes) : Vec::zero();
  for (size_t block = 0; block < blocks; ++block, scales += nvfp4_tile) {
    Vec::F32 sum[rows][vectors];
    WEFT_UNROLL(16)
    for (size_t r = 0; r < rows; ++r)
      WEFT_UNROLL(8)
      for (size_t v = 0; v < vectors; ++v) sum[r][v] = Vec::zero();
    WEFT_UNROLL(4)
    for (size_t k = 0; k < nvfp4_block; ++k, x += rows, w += nvfp4_tile) {
      __builtin_prefetch(x + rows * nvfp4_block, 0, 3);  // the next block's, or the next rows', from a farther cache
      Vec::F32 column[vectors];
      WEFT_UNROLL(8)
      for (size_t v = 0; v < vectors; ++v) column[v] = Vec::load(w + v * Vec::lanes);
      WEFT_UNROLL(16)
      for (size_t r = 0; r < rows; ++r) {
        const Vec::F32 row = Vec::set(x[r]);
        WEFT_UNROLL(8)
        for (size_t v = 0; v < vectors; ++v) sum[r][v] = Vec::multiply_add(row, column[v], sum[r][v]);
      }
    }
    WEFT_UNROLL(8)
    for (size_t v = 0; v < vectors; ++v) {
      const Vec::F32 scale = Vec::load(scales + v * Vec::lanes);
      WEFT_UNROLL(16)
      for (size_t r = 0; r < rows; ++r) total[r][v] = Vec::multiply_add(sum[r][v], scale, total[r][v]);
    }
  }
  WEFT_UNROLL(16)
  for (size_t r = 0; r < rows; ++r)
    WEFT_UNROLL(8)
    for (size_t v = 0; v < vectors; ++v) Vec::store(y + r * y_stride + v * Vec::lanes, total[r][v]);
}

// The columns [from, to) of a tile; y is at column `from`.
template <size_t rows>
void nvfp4_row_block(size_t blocks, const float* x, const float* w, const float* scales, float* y, size_t y_stride,
                     size_t from, size_t to, bool resume) {
  if (from == 0 && to == nvfp4_tile) return nvfp4_micro_kernel<rows>(blocks, x, w, scales, y, y_stride, resume);
  float whole[rows * nvfp4_tile] = {};
  if (resume)
    for (size_t r = 0; r < rows; ++r) memcpy(whole + r * nvfp4_tile + from, y + r * y_stride, (to - from) * sizeof(float));
  nvfp4_micro_kernel<rows>(blocks, x, w, scales, whole, nvfp4_tile, resume);
  for (size_t r = 0; r < rows; ++r) memcpy(y + r * y_stride, whole + r * nvfp4_tile + from, (to - from) * sizeof(float));
}

template <size_t rows = nvfp4_rows>
inline void nvfp4_rows_dispatch(size_t count, size_t blocks, const float* x, const float* w, const float* scales, float* y,
                                size_t y_stride, size_t from, size_t to, bool resume) {
  if constexpr (rows > 0) {
    if (count == rows) nvfp4_row_block<rows>(blocks, x, w, scales, y, y_stride, from, to, resume);
    else nvfp4_rows_dispatch<rows - 1>(count, blocks, x, w, scales, y, y_stride, from, to, resume);
  }
}

// The codes of 16 k of one strip, as f32.
inline void unpack_strip(float* out, size_t out_stride, const uint8_t* words) {
  WEFT_UNROLL(2)
  for (size_t half = 0; half < 2; ++half) {
    const Vec::I32 word = Vec::bits(Vec::load(words + half * Nvfp4Tiles::word_bytes));
    WEFT_UNROLL(8)
    for (size_t j = 0; j < Nvfp4Tiles::word_codes; ++j)
      Vec::store(out + (half * Nvfp4Tiles::word_codes + j) * out_stride,
                 Vec::e2m1(Vec::shift_right_by(word, Vec::set_i32(static_cast<int32_t>(4 * j)))));
  }
}

// Unpacks `blocks` blocks of a tile from strip `strip` of the matrix on; strips beyond `end` are zero.
inline void unpack_tile(float* w, float* scales, const Nvfp4Tiles& matrix, size_t strip, size_t end, size_t block, size_t blocks) {
  for (size_t v = 0; v < nvfp4_vectors; ++v) {
    float* codes = w + v * Vec::lanes;
    float* factors = scales + v * Vec::lanes;
    if (strip + v >= end) {
      for (size_t k = 0; k < blocks * nvfp4_block; ++k) Vec::store(codes + k * nvfp4_tile, Vec::zero());
      for (size_t b = 0; b < blocks; ++b) Vec::store(factors + b * nvfp4_tile, Vec::zero());
      continue;
    }
    const uint8_t* words = matrix.word((strip + v) * Vec::lanes, 2 * block);
    const uint8_t* at = matrix.scale((strip + v) * Vec::lanes, block);
    for (size_t b = 0; b < blocks; ++b) {
      unpack_strip(codes + b * nvfp4_block * nvfp4_tile, nvfp4_tile, words + 2 * b * Nvfp4Tiles::word_bytes);
      Vec::store(factors + b * nvfp4_tile, Vec::load_e4m3(at + b * nvfp4_group_rows));
    }
  }
}

// Packs one block of rows, `count` places from k on.
inline void nvfp4_pack_rows(const Nvfp4Arguments& g, size_t row, size_t rows, size_t k, size_t count, float* out) {
  const auto pack = [&](auto source) {
    using Units = SingleUnits<decltype(source)>;
    const auto* x = static_cast<const typename Units::Element*>(g.x) + row * g.x_stride + k;
    pack_rows<Units>({x, g.x_stride, 1, 0, count}, rows, out, rows, false);
  };
  if (g.x_type == DType::bf16) pack(Bf16Source{});
  else pack(F32Source{});
}

void nvfp4_gemm(const Nvfp4Arguments& g) {
  const Nvfp4Tiles matrix(g.tiles, g.depth);
  const RowBlocks row_blocks(g.rows, nvfp4_rows);
  float* w = static_cast<float*>(g.scratch);
  float* scales = w + nvfp4_depth * nvfp4_tile;
  float* own = scales + nvfp4_depth / nvfp4_block * nvfp4_tile;
  const size_t last = g.first_column + g.columns;
  for (size_t k = 0; k < g.depth; k += nvfp4_depth) {
    const size_t count = smaller(nvfp4_depth, g.depth - k);
    const float* x = own;
    if (g.packed_x != nullptr) x = static_cast<const float*>(g.packed_x) + k * g.rows;
    else
      for (size_t rb = 0; rb < row_blocks.count; ++rb)
        nvfp4_pack_rows(g, row_blocks.begin(rb), row_blocks.size(rb), k, count, own + row_blocks.begin(rb) * count);
    const size_t strip_end = (last + Vec::lanes - 1) / Vec::lanes;
    for (size_t column = g.first_column / nvfp4_group_rows * nvfp4_group_rows; column < last; column += nvfp4_tile) {
      unpack_tile(w, scales, matrix, column / Vec::lanes, strip_end, k / nvfp4_block, count / nvfp4_block);
      const size_t from = column < g.first_column ? g.first_column - column : 0, to = smaller(last - column, nvfp4_tile);
      float* y = g.y + (column + from - g.first_column);
      for (size_t rb = 0; rb < row_blocks.count; ++rb) {
        const size_t row = row_blocks.begin(rb);
        nvfp4_rows_dispatch(row_blocks.size(rb), count / nvfp4_block, x + row * count, w, scales, y + row * g.y_stride,
                            g.y_stride, from, to, k > 0);
      }
    }
  }
}

inline size_t nvfp4_f32_scratch_bytes(size_t rows, size_t depth, DType x_type, bool x_is_packed) {
  const size_t streamed = x_type == DType::f32 ? 0 : smaller(rows, nvfp4_streamed_rows) * depth;
  if (rows <= nvfp4_streamed_rows) return whole_lines(streamed) * sizeof(float);
  const size_t panel = (nvfp4_depth + nvfp4_depth / nvfp4_block) * nvfp4_tile;
  const size_t own = panel + (x_is_packed ? 0 : rows * smaller(depth, nvfp4_depth));
  return whole_lines(own < streamed ? streamed : own) * sizeof(float);
}

inline size_t nvfp4_f32_pack_items(size_t rows, size_t depth) {
  if (rows <= nvfp4_streamed_rows) return 0;  // which are read where they lie
  return RowBlocks(rows, nvfp4_rows).count * ((depth + nvfp4_depth - 1) / nvfp4_depth);
}

inline void nvfp4_f32_pack(const Nvfp4Arguments& g, float* packed, size_t item_begin, size_t item_end) {
  const RowBlocks row_blocks(g.rows, nvfp4_rows);
  for (size_t item = item_begin; item < item_end; ++item) {
    const size_t k = item / row_blocks.count * nvfp4_depth, rb = item % row_blocks.count;
    const size_t count = smaller(nvfp4_depth, g.depth - k), row = row_blocks.begin(rb);
    nvfp4_pack_rows(g, row, row_blocks.size(rb), k, count, packed + k * g.rows + row * count);
  }
}

}  // namespace
}  // namespace weft::cpu
