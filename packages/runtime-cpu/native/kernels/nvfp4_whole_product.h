// NVFP4 weights against rows of X in whole numbers: few rows while the codes stream by, many by groups of 16 columns
// whose codes are unpacked to bytes. Both are the same sums: of blocks in whole numbers, added up in f32 block by block.
#pragma once

namespace weft::cpu {
namespace {

constexpr size_t whole_rows = 8;     // of X side by side
constexpr size_t whole_blocks = 32;  // unpacked at a time: 10 KB

// Groups that are walked side by side: more of them keep more lines on their way, rows need registers.
constexpr size_t whole_groups(size_t rows) { return rows == 1 ? 4 : rows == 2 ? 2 : 1; }

inline size_t whole_row_blocks(size_t depth) { return depth / nvfp4_block; }

// Blocks [first, first + count) of `rows` rows from `row` on, `stride` blocks from row to row.
template <class Dot>
inline void pack_whole_rows(const Nvfp4Arguments& g, size_t row, size_t rows, size_t first, size_t count, WholeBlock* out, size_t stride) {
  for (size_t r = row; r < row + rows; ++r, out += stride)
    for (size_t b = 0; b < count; ++b) {
      const size_t at = r * g.x_stride + (first + b) * nvfp4_block;
      Dot::pack(out[b], g.x_type == DType::bf16 ? Vec::load_bf16(static_cast<const uint16_t*>(g.x) + at)
                                                    : Vec::load(static_cast<const float*>(g.x) + at));
    }
}

template <class Dot, size_t rows, size_t groups>
inline void whole_stream_groups(const Nvfp4Arguments& g, const WholeBlock* x, size_t group) {
  const Nvfp4Tiles matrix(g.tiles, g.depth);
  const size_t blocks = whole_row_blocks(g.depth), code_bytes = 8 * g.depth;
  const size_t to_next = groups * matrix.group_bytes();
  const uint8_t* codes[groups];
  Vec::F32 total[rows][groups];
  WEFT_UNROLL(4)
  for (size_t s = 0; s < groups; ++s) {
    codes[s] = matrix.group(group + s);
    WEFT_UNROLL(8)
    for (size_t r = 0; r < rows; ++r) total[r][s] = Vec::zero();
  }
  for (size_t b = 0; b < blocks; ++b) {
    // Codes and scales are fetched this far ahead, and at their ends those of the groups that come next.
    const size_t code = b * 128 + prefetch_bytes, scale = b * nvfp4_group_rows + prefetch_bytes / 8;
    const size_t next_code = code < code_bytes ? code : code - code_bytes + to_next;
    const size_t next_scale = code_bytes + (scale < g.depth ? scale : scale - g.depth + to_next);
    WEFT_UNROLL(4)
    for (size_t s = 0; s < groups; ++s) {
      prefetch(reinterpret_cast<uintptr_t>(codes[s]) + next_code, 128);
      if (b % 4 == 0) prefetch(reinterpret_cast<uintptr_t>(codes[s]) + next_scale, 1);
      const typename Dot::Codes w = Dot::load(codes[s] + b * 128);
      const uint8_t* scales = codes[s] + code_bytes + b * nvfp4_group_rows;
      WEFT_UNROLL(8)
      for (size_t r = 0; r < rows; ++r) {
        const WholeBlock& block = x[r * blocks + b];
        total[r][s] = Vec::multiply_add(Dot::multiply(w, block), Dot::scales(scales, block.factor), total[r][s]);
      }
    }
  }
  WEFT_UNROLL(4)
  for (size_t s = 0; s < groups; ++s)
    WEFT_UNROLL(8)
    for (size_t r = 0; r < rows; ++r)
      store_strip(g.y + r * g.y_stride, total[r][s], (group + s) * nvfp4_group_rows, g.first_column, g.first_column + g.columns);
}

template <class Dot, size_t rows = whole_rows>
inline void whole_stream(const Nvfp4Arguments& g, const WholeBlock* x) {
  if constexpr (rows > 0) {
    if (g.rows != rows) return whole_stream<Dot, rows - 1>(g, x);
    constexpr size_t groups = whole_groups(rows);
    size_t group = g.first_column / nvfp4_group_rows;
    const size_t end = quotient_up(g.first_column + g.columns, nvfp4_group_rows);
    for (; group + groups <= end; group += groups) whole_stream_groups<Dot, rows, groups>(g, x, group);
    for (; group < end; ++group) whole_stream_groups<Dot, rows, 1>(g, x, group);
  }
}

// A group's codes as bytes, and its scales over 256 as floats.
template <class Dot>
struct WholePanel {
  alignas(64) uint8_t codes[whole_blocks][256];
  alignas(64) float scales[whole_blocks][nvfp4_group_rows];

  void unpack(const uint8_t* words, const uint8_t* scale_codes, size_t blocks) {
    for (size_t b = 0; b < blocks; ++b) {
      Dot::store_unpacked(codes[b], Dot::load(words + b * 128));
      Vec::store(scales[b], Dot::scales(scale_codes + b * nvfp4_group_rows, 1));
    }
  }
};

// Y[rows][16], on from what is in Y or from zero.
template <class Dot, size_t rows>
void whole_micro_kernel(const WholePanel<Dot>& w, size_t blocks, const WholeBlock* x, size_t x_stride, float* y, size_t y_stride, bool resume) {
  Vec::F32 total[rows];
  WEFT_UNROLL(8)
  for (size_t r = 0; r < rows; ++r) total[r] = resume ? Vec::load(y + r * y_stride) : Vec::zero();
  for (size_t b = 0; b < blocks; ++b) {
    const typename Dot::Codes codes = Dot::load_unpacked(w.codes[b]);
    const Vec::F32 scales = Vec::load(w.scales[b]);
    WEFT_UNROLL(8)
    for (size_t r = 0; r < rows; ++r) {
      const WholeBlock& block = x[r * x_stride + b];
      total[r] = Vec::multiply_add(Dot::multiply(codes, block), Vec::mul(scales, Vec::set(block.factor)), total[r]);
    }
  }
  WEFT_UNROLL(8)
  for (size_t r = 0; r < rows; ++r) Vec::store(y + r * y_stride, total[r]);
}

template <class Dot, size_t rows = whole_rows>
inline void whole_rows_dispatch(size_t count, const WholePanel<Dot>& w, size_t blocks, const WholeBlock* x, size_t x_stride, float* y,
                                size_t y_stride, bool resume) {
  if constexpr (rows > 0) {
    if (count == rows) whole_micro_kernel<Dot, rows>(w, blocks, x, x_stride, y, y_stride, resume);
    else whole_rows_dispatch<Dot, rows - 1>(count, w, blocks, x, x_stride, y, y_stride, resume);
  }
}

// Loops, outermost first: blocks along depth; groups of columns; rows, eight at a time.
template <class Dot>
inline void whole_gemm(const Nvfp4Arguments& g) {
  const Nvfp4Tiles matrix(g.tiles, g.depth);
  const size_t blocks = whole_row_blocks(g.depth), last = g.first_column + g.columns;
  WholePanel<Dot>& panel = *static_cast<WholePanel<Dot>*>(g.scratch);
  WholeBlock* own = reinterpret_cast<WholeBlock*>(&panel + 1);
  for (size_t b = 0; b < blocks; b += whole_blocks) {
    const size_t count = smaller(whole_blocks, blocks - b);
    const WholeBlock* x = own;
    size_t x_stride = count;
    if (g.packed_x != nullptr) x = static_cast<const WholeBlock*>(g.packed_x) + b, x_stride = blocks;
    else pack_whole_rows<Dot>(g, 0, g.rows, b, count, own, x_stride);
    for (size_t group = g.first_column / nvfp4_group_rows; group * nvfp4_group_rows < last; ++group) {
      const size_t column = group * nvfp4_group_rows;
      panel.unpack(matrix.word(column, 2 * b), matrix.scale(column, b), count);
      const size_t from = column < g.first_column ? g.first_column - column : 0, to = smaller(last - column, nvfp4_group_rows);
      float* y = g.y + (column + from - g.first_column);
      for (size_t row = 0; row < g.rows; row += whole_rows) {
        const size_t some = smaller(whole_rows, g.rows - row);
        const WholeBlock* x_rows = x + row * x_stride;
        float* y_rows = y + row * g.y_stride;
        if (to - from == nvfp4_group_rows) {
          whole_rows_dispatch(some, panel, count, x_rows, x_stride, y_rows, g.y_stride, b > 0);
          continue;
        }
        float whole[whole_rows * nvfp4_group_rows] = {};
        for (size_t r = 0; b > 0 && r < some; ++r) memcpy(whole + r * nvfp4_group_rows + from, y_rows + r * g.y_stride, (to - from) * sizeof(float));
        whole_rows_dispatch(some, panel, count, x_rows, x_stride, whole, nvfp4_group_rows, b > 0);
        for (size_t r = 0; r < some; ++r) memcpy(y_rows + r * g.y_stride, whole + r * nvfp4_group_rows + from, (to - from) * sizeof(float));
      }
    }
  }
}

inline size_t whole_pack_bytes(size_t rows, size_t depth) { return rows * whole_row_blocks(depth) * sizeof(WholeBlock); }

template <class Dot>
inline size_t whole_scratch_bytes(size_t rows, size_t depth, bool x_is_packed) {
  const size_t few = x_is_packed ? 0 : whole_pack_bytes(smaller(rows, whole_rows), depth);
  if (rows <= whole_rows) return few;
  const size_t own = x_is_packed ? 0 : whole_pack_bytes(rows, smaller(depth, whole_blocks * nvfp4_block));
  const size_t many = sizeof(WholePanel<Dot>) + own;
  return many < few ? few : many;
}

template <class Dot>
inline void whole_multiply(const Nvfp4Arguments& g) {
  if (g.rows > whole_rows) return whole_gemm<Dot>(g);
  const auto* x = static_cast<const WholeBlock*>(g.packed_x);
  if (x == nullptr) {
    auto* own = static_cast<WholeBlock*>(g.scratch);
    pack_whole_rows<Dot>(g, 0, g.rows, 0, whole_row_blocks(g.depth), own, whole_row_blocks(g.depth));
    x = own;
  }
  whole_stream<Dot>(g, x);
}

}  // namespace
}  // namespace weft::cpu
