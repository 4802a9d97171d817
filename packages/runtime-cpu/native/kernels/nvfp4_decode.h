// NVFP4 to f32: canonical blocks, and parts of one row in tiles. A code times its scale is exact.
#pragma once

namespace weft::cpu {
namespace {

// Where things lie in a matrix in tiles.
struct Nvfp4Tiles {
  static constexpr size_t word_bytes = 64;
  static constexpr size_t word_codes = 8;

  Nvfp4Tiles(const uint8_t* all, size_t row_length) : tiles(all), depth(row_length) {}
  size_t group_bytes() const { return 9 * depth; }
  const uint8_t* group(size_t index) const { return tiles + index * group_bytes(); }
  // The codes of row `row` from k = 8 * word on, and its scale of a block.
  const uint8_t* word(size_t row, size_t word) const {
    return group(row / nvfp4_group_rows) + word * word_bytes + row % nvfp4_group_rows * sizeof(uint32_t);
  }
  const uint8_t* scale(size_t row, size_t block) const {
    return group(row / nvfp4_group_rows) + 8 * depth + block * nvfp4_group_rows + row % nvfp4_group_rows;
  }
  const uint8_t* tiles;
  size_t depth;
};

inline uint32_t load_word(const uint8_t* p) {
  uint32_t word;
  memcpy(&word, p, sizeof word);
  return word;
}

constexpr float lane_numbers[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
constexpr uint32_t code_shifts[16] = {0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28};

// The 16 values of a block whose codes are two words: lane i reads the i-th code of its word.
inline void decode_block(float* out, uint32_t low, uint32_t high, float scale) {
  const Vec::I32 shifts = Vec::bits(Vec::load(code_shifts));
  const auto all = [](uint32_t word) { return Vec::set_i32(static_cast<int32_t>(word)); };
  const Vec::F32 factor = Vec::set(scale);
  WEFT_UNROLL(4)
  for (size_t i = 0; i < nvfp4_block; i += Vec::lanes) {
    Vec::I32 word;
    if constexpr (Vec::lanes > Nvfp4Tiles::word_codes) {
      const Vec::Mask is_low = Vec::less(Vec::load(lane_numbers), Vec::set(8));
      word = Vec::bits(Vec::choose(is_low, Vec::from_bits(all(low)), Vec::from_bits(all(high))));
    } else {
      word = all((i < Nvfp4Tiles::word_codes ? low : high) >> (4 * (i % Nvfp4Tiles::word_codes)));
    }
    Vec::store(out + i, Vec::mul(Vec::e2m1(Vec::shift_right_by(word, shifts)), factor));
  }
}

void nvfp4_decode(float* out, const uint8_t* codes, const uint8_t* scales, size_t n) {
  for (size_t i = 0; i < n; i += nvfp4_block)
    decode_block(out + i, load_word(codes + i / 2), load_word(codes + i / 2 + 4), widen_e4m3(scales[i / nvfp4_block]));
}

void nvfp4_load_row(float* out, const uint8_t* tiles, size_t row, size_t depth, size_t first, size_t n) {
  const Nvfp4Tiles matrix(tiles, depth);
  const uint8_t* words = matrix.word(row, 0);
  const uint8_t* scales = matrix.scale(row, 0);
  const auto decode = [=](float* to, size_t block) __attribute__((always_inline)) {
    const uint8_t* word = words + 2 * block * Nvfp4Tiles::word_bytes;
    decode_block(to, load_word(word), load_word(word + Nvfp4Tiles::word_bytes), widen_e4m3(scales[block * nvfp4_group_rows]));
  };
  // A part of a block at either end, whole ones between.
  const auto decode_part = [&](size_t count) {
    float values[nvfp4_block];
    decode(values, first / nvfp4_block);
    memcpy(out, values + first % nvfp4_block, count * sizeof(float));
    out += count, first += count, n -= count;
  };
  if (const size_t skipped = first % nvfp4_block; skipped > 0 && n > 0)
    decode_part(n < nvfp4_block - skipped ? n : nvfp4_block - skipped);
  for (; n >= nvfp4_block; n -= nvfp4_block, out += nvfp4_block, first += nvfp4_block) decode(out, first / nvfp4_block);
  if (n > 0) decode_part(n);
}

}  // namespace
}  // namespace weft::cpu
