// Canonical NVFP4 rows to tiles and back: words are transposed in squares of registers.
#pragma once

namespace weft::cpu {
namespace {

// Moves a square of words between two layouts: word (i, j) of one is word (j, i) of the other.
inline void transpose_words(uint8_t* out, size_t out_stride, const uint8_t* in, size_t in_stride) {
  Vec::F32 square[Vec::lanes];
  WEFT_UNROLL(16)
  for (size_t i = 0; i < Vec::lanes; ++i) square[i] = Vec::load(in + i * in_stride);
  Vec::transpose(square);
  WEFT_UNROLL(16)
  for (size_t i = 0; i < Vec::lanes; ++i) Vec::store(out + i * out_stride, square[i]);
}

void nvfp4_to_tiles(uint8_t* tiles, const uint8_t* codes, const uint8_t* scales, size_t rows, size_t depth,
                    size_t group_begin, size_t group_end) {
  const size_t words = depth / Nvfp4Tiles::word_codes, blocks = depth / nvfp4_block, row_bytes = depth / 2;
  for (size_t group = group_begin; group < group_end; ++group) {
    uint8_t* out = tiles + group * 9 * depth;
    uint8_t* scales_out = out + 8 * depth;
    const size_t first = group * nvfp4_group_rows;
    const size_t count = rows - first < nvfp4_group_rows ? rows - first : nvfp4_group_rows;
    if (count < nvfp4_group_rows) memset(out, 0, 9 * depth);
    const uint8_t* in = codes + first * row_bytes;
    size_t row = 0;
    for (; row + Vec::lanes <= count; row += Vec::lanes) {
      size_t word = 0;
      for (; word + Vec::lanes <= words; word += Vec::lanes)
        transpose_words(out + word * Nvfp4Tiles::word_bytes + row * 4, Nvfp4Tiles::word_bytes, in + row * row_bytes + word * 4, row_bytes);
      for (; word < words; ++word)
        for (size_t i = row; i < row + Vec::lanes; ++i)
          memcpy(out + word * Nvfp4Tiles::word_bytes + i * 4, in + i * row_bytes + word * 4, 4);
    }
    for (; row < count; ++row)
      for (size_t word = 0; word < words; ++word)
        memcpy(out + word * Nvfp4Tiles::word_bytes + row * 4, in + row * row_bytes + word * 4, 4);
    for (size_t i = 0; i < count; ++i)
      for (size_t block = 0; block < blocks; ++block) scales_out[block * nvfp4_group_rows + i] = scales[(first + i) * blocks + block];
  }
}

void nvfp4_from_tiles(uint8_t* codes, uint8_t* scales, const uint8_t* tiles, size_t rows, size_t depth, size_t group_begin,
                      size_t group_end) {
  const size_t words = depth / Nvfp4Tiles::word_codes, blocks = depth / nvfp4_block, row_bytes = depth / 2;
  for (size_t group = group_begin; group < group_end; ++group) {
    const uint8_t* in = tiles + group * 9 * depth;
    const size_t first = group * nvfp4_group_rows;
    const size_t count = rows - first < nvfp4_group_rows ? rows - first : nvfp4_group_rows;
    uint8_t* out = codes + first * row_bytes;
    size_t row = 0;
    for (; row + Vec::lanes <= count; row += Vec::lanes) {
      size_t word = 0;
      for (; word + Vec::lanes <= words; word += Vec::lanes)
        transpose_words(out + row * row_bytes + word * 4, row_bytes, in + word * Nvfp4Tiles::word_bytes + row * 4, Nvfp4Tiles::word_bytes);
      for (; word < words; ++word)
        for (size_t i = row; i < row + Vec::lanes; ++i)
          memcpy(out + i * row_bytes + word * 4, in + word * Nvfp4Tiles::word_bytes + i * 4, 4);
    }
    for (; row < count; ++row)
      for (size_t word = 0; word < words; ++word)
        memcpy(out + row * row_bytes + word * 4, in + word * Nvfp4Tiles::word_bytes + row * 4, 4);
    for (size_t i = 0; i < count; ++i)
      for (size_t block = 0; block < blocks; ++block) scales[(first + i) * blocks + block] = in[8 * depth + block * nvfp4_group_rows + i];
  }
}

}  // namespace
}  // namespace weft::cpu
