// NVFP4 weights against a few rows of X: a lane for each column, codes looked up in a register, nothing unpacked.
//
// A strip is a vector of columns (a group of 16, or a part of one). Several strips are walked side by side, so that the
// multiply-adds of one do not wait for each other; more rows of X leave fewer registers for strips.
#pragma once

namespace weft::cpu {
namespace {

constexpr size_t nvfp4_streamed_rows = 8;
constexpr size_t nvfp4_strips_per_group = nvfp4_group_rows / Vec::lanes;

// Strips side by side when each needs a sum for `rows` rows of X. The totals may wait in memory.
constexpr size_t nvfp4_strips(size_t rows) {
  const size_t sums = Vec::accumulators < 24 ? 8 : 16;
  return 4 * rows <= sums ? 4 : 2 * rows <= sums ? 2 : 1;
}

// Writes the columns of a strip that lie in [first, end); y is row 0, column `first` of the result.
inline void store_strip(float* y, Vec::F32 sums, size_t column, size_t first, size_t end) {
  if (column >= first && column + Vec::lanes <= end) return Vec::store(y + (column - first), sums);
  float values[Vec::lanes];
  Vec::store(values, sums);
  const size_t from = column < first ? first - column : 0, to = end - column < Vec::lanes ? end - column : Vec::lanes;
  memcpy(y + (column + from - first), values + from, (to - from) * sizeof(float));
}

// `strips` consecutive ones from strip `strip` of the matrix on.
template <size_t rows, size_t strips>
inline void nvfp4_stream_strips(const Nvfp4Arguments& g, const float* x, size_t x_stride, float* y, size_t strip) {
  const Nvfp4Tiles matrix(g.tiles, g.depth);
  const uint8_t* words[strips];
  const uint8_t* scales[strips];
  Vec::F32 total[rows][strips];
  WEFT_UNROLL(8)
  for (size_t s = 0; s < strips; ++s) {
    words[s] = matrix.word((strip + s) * Vec::lanes, 0);
    scales[s] = matrix.scale((strip + s) * Vec::lanes, 0);
    WEFT_UNROLL(8)
    for (size_t r = 0; r < rows; ++r) total[r][s] = Vec::zero();
  }
  // What is fetched ahead: this far in the codes, and at their end the codes of the strips that come next.
  constexpr size_t groups = strips < nvfp4_strips_per_group ? 1 : strips / nvfp4_strips_per_group;
  const size_t code_bytes = 8 * g.depth, to_next = groups * matrix.group_bytes() - code_bytes;
  for (size_t block = 0; block < g.depth / nvfp4_block; ++block) {
    Vec::F32 sum[rows][strips];
    WEFT_UNROLL(8)
    for (size_t s = 0; s < strips; ++s)
      WEFT_UNROLL(8)
      for (size_t r = 0; r < rows; ++r) sum[r][s] = Vec::zero();
    WEFT_UNROLL(2)
    for (size_t half = 0; half < 2; ++half) {
      const size_t at = (2 * block + half) * Nvfp4Tiles::word_bytes;
      const size_t ahead = at + prefetch_bytes < code_bytes ? at + prefetch_bytes : at + prefetch_bytes + to_next;
      if (strips < nvfp4_strips_per_group)
        prefetch(reinterpret_cast<uintptr_t>(words[0]) + ahead, 1);
      else
        WEFT_UNROLL(8)
        for (size_t s = 0; s < strips; s += nvfp4_strips_per_group) prefetch(reinterpret_cast<uintptr_t>(words[s]) + ahead, 1);
      if (half == 0 && block % 4 == 0) {
        // The scales as well, of which four blocks fill a line.
        const size_t scale = block * nvfp4_group_rows + prefetch_bytes / 8;
        const size_t next = scale < g.depth ? scale : scale - g.depth + groups * matrix.group_bytes();
        WEFT_UNROLL(8)
        for (size_t s = 0; s < strips; s += nvfp4_strips_per_group) prefetch(reinterpret_cast<uintptr_t>(scales[s]) + next, 1);
      }
      const float* k = x + nvfp4_block * block + Nvfp4Tiles::word_codes * half;
      // Words are loaded from a byte further on, which costs no shift; what comes in from the next lane is above the code.
      WEFT_UNROLL(4)
      for (size_t pair = 0; pair < Nvfp4Tiles::word_codes / 2; ++pair) {
        Vec::I32 word[strips];
        WEFT_UNROLL(8)
        for (size_t s = 0; s < strips; ++s) word[s] = Vec::bits(Vec::load(words[s] + at + pair));
        WEFT_UNROLL(2)
        for (size_t j = 0; j < 2; ++j)
          WEFT_UNROLL(8)
          for (size_t s = 0; s < strips; ++s) {
            const Vec::F32 code = Vec::e2m1(j == 0 ? word[s] : Vec::shift_right<4>(word[s]));
            WEFT_UNROLL(8)
            for (size_t r = 0; r < rows; ++r)
              sum[r][s] = Vec::multiply_add(Vec::set(k[r * x_stride + 2 * pair + j]), code, sum[r][s]);
          }
      }
    }
    WEFT_UNROLL(8)
    for (size_t s = 0; s < strips; ++s) {
      const Vec::F32 scale = Vec::load_e4m3(scales[s] + block * nvfp4_group_rows);
      WEFT_UNROLL(8)
      for (size_t r = 0; r < rows; ++r) total[r][s] = Vec::multiply_add(sum[r][s], scale, total[r][s]);
    }
  }
  WEFT_UNROLL(8)
  for (size_t s = 0; s < strips; ++s)
    WEFT_UNROLL(8)
    for (size_t r = 0; r < rows; ++r)
      store_strip(y + r * g.y_stride, total[r][s], (strip + s) * Vec::lanes, g.first_column, g.first_column + g.columns);
}

template <size_t rows>
void nvfp4_stream_rows(const Nvfp4Arguments& g, const float* x, size_t x_stride) {
  constexpr size_t strips = nvfp4_strips(rows);
  size_t strip = g.first_column / Vec::lanes;
  const size_t end = (g.first_column + g.columns + Vec::lanes - 1) / Vec::lanes;
  for (; strip + strips <= end; strip += strips) nvfp4_stream_strips<rows, strips>(g, x, x_stride, g.y, strip);
  for (; strip < end; ++strip) nvfp4_stream_strips<rows, 1>(g, x, x_stride, g.y, strip);
}

template <size_t rows = nvfp4_streamed_rows>
inline void nvfp4_stream_dispatch(const Nvfp4Arguments& g, const float* x, size_t x_stride) {
  if constexpr (rows > 0) {
    if (g.rows == rows) nvfp4_stream_rows<rows>(g, x, x_stride);
    else nvfp4_stream_dispatch<rows - 1>(g, x, x_stride);
  }
}

void nvfp4_stream(const Nvfp4Arguments& g) {
  if (g.x_type == DType::f32) return nvfp4_stream_dispatch(g, static_cast<const float*>(g.x), g.x_stride);
  float* x = static_cast<float*>(g.scratch);
  for (size_t r = 0; r < g.rows; ++r)
    widen_row<Bf16Source>(x + r * g.depth, static_cast<const uint16_t*>(g.x) + r * g.x_stride, g.depth);
  nvfp4_stream_dispatch(g, x, g.depth);
}

}  // namespace
}  // namespace weft::cpu
