// Rounding to bf16 by counter-based random bits: Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011).
#pragma once

namespace weft::cpu {
namespace {

// Blocks of Philox that are computed side by side, one in each lane.
constexpr size_t random_blocks = Vec::lanes;
constexpr size_t block_elements = 8;

// 16 bits for each element of the blocks counter, counter + 1, ...: two for each word, the lower half first.
inline void random_halves(uint16_t (&halves)[random_blocks * block_elements], uint64_t counter, const RandomStream& from) {
  const auto all = [](uint32_t word) { return Vec::set_i32(static_cast<int32_t>(word)); };
  uint32_t low[random_blocks], high[random_blocks];
  for (size_t i = 0; i < random_blocks; ++i) {
    low[i] = static_cast<uint32_t>(counter + i);
    high[i] = static_cast<uint32_t>((counter + i) >> 32);
  }
  Vec::I32 c0 = Vec::bits(Vec::load(low)), c1 = Vec::bits(Vec::load(high)), c2 = all(from.stream), c3 = all(0);
  Vec::I32 k0 = all(from.key_low), k1 = all(from.key_high);
  for (int round = 0; round < 10; ++round) {
    Vec::I32 high0, high1;
    const Vec::I32 low0 = Vec::multiply_u32(c0, all(0xd2511f53u), high0);
    const Vec::I32 low1 = Vec::multiply_u32(c2, all(0xcd9e8d57u), high1);
    c0 = Vec::xor_i32(Vec::xor_i32(high1, c1), k0);
    c1 = low1;
    c2 = Vec::xor_i32(Vec::xor_i32(high0, c3), k1);
    c3 = low0;
    k0 = Vec::add_i32(k0, all(0x9e3779b9u));
    k1 = Vec::add_i32(k1, all(0xbb67ae85u));
  }
  uint32_t planes[4][random_blocks], words[random_blocks * 4];
  const Vec::I32 parts[4] = {c0, c1, c2, c3};
  for (size_t j = 0; j < 4; ++j) Vec::store(planes[j], Vec::from_bits(parts[j]));
  for (size_t i = 0; i < random_blocks; ++i)
    for (size_t j = 0; j < 4; ++j) words[4 * i + j] = planes[j][i];
  static_assert(sizeof words == sizeof halves);
  memcpy(halves, words, sizeof words);
}

// The bits are added below the last one that bf16 keeps, and what is below is cut off. What was finite stays finite;
// NaN becomes what a conversion to bf16 makes of it.
inline Vec::F32 round_with(Vec::F32 x, Vec::I32 half) {
  const Vec::I32 upper = Vec::set_i32(static_cast<int32_t>(0xffff0000u));
  const Vec::I32 own = Vec::bits(x);
  const Vec::I32 sign = Vec::and_i32(own, Vec::set_i32(INT32_MIN));
  const Vec::F32 magnitude = Vec::from_bits(Vec::and_i32(own, Vec::set_i32(INT32_MAX)));
  const Vec::F32 moved = Vec::from_bits(Vec::add_i32(Vec::bits(magnitude), half));
  const Vec::F32 kept = Vec::choose(Vec::less_equal(moved, Vec::set(FLT_MAX)), moved, magnitude);
  const Vec::I32 rounded = Vec::and_i32(Vec::or_i32(sign, Vec::bits(kept)), upper);
  const Vec::I32 quiet = Vec::and_i32(Vec::or_i32(own, Vec::set_i32(0x400000)), upper);
  return Vec::choose(Vec::equal(x, x), Vec::from_bits(rounded), Vec::from_bits(quiet));
}

// 16 bits for each of n elements from `place` on.
inline void fill_random_halves(uint16_t* out, uint64_t place, const RandomStream& from, size_t n) {
  uint16_t halves[random_blocks * block_elements];
  while (n > 0) {
    const size_t skipped = place % block_elements;
    const size_t count = n < random_blocks * block_elements - skipped ? n : random_blocks * block_elements - skipped;
    random_halves(halves, place / block_elements, from);
    memcpy(out, halves + skipped, count * sizeof(uint16_t));
    out += count;
    place += count;
    n -= count;
  }
}

void stochastic_round_row(float* out, const float* in, uint64_t place, RandomStream from, size_t n) {
  uint16_t halves[random_blocks * block_elements];
  while (n > 0) {
    const size_t skipped = place % block_elements;
    const size_t count = n < random_blocks * block_elements - skipped ? n : random_blocks * block_elements - skipped;
    random_halves(halves, place / block_elements, from);
    const uint16_t* half = halves + skipped;
    // What load_bf16 gives is the half in the upper bits.
    const auto bits = [](Vec::F32 wide) __attribute__((always_inline)) { return Vec::shift_right<16>(Vec::bits(wide)); };
    size_t i = 0;
    for (; i + Vec::lanes <= count; i += Vec::lanes)
      Vec::store(out + i, round_with(Vec::load(in + i), bits(Vec::load_bf16(half + i))));
    if (const size_t left = count - i; left > 0)
      Vec::store_partial(out + i, round_with(Vec::load_partial(in + i, left), bits(Vec::load_bf16_partial(half + i, left))), left);
    out += count;
    in += count;
    place += count;
    n -= count;
  }
}

}  // namespace
}  // namespace weft::cpu
