// Rounding to bf16 by counter-based random bits: Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011).
#pragma once

namespace weft::cpu {
namespace {

// Blocks of Philox that are computed side by side: plain loops over them become vectors of any instruction set.
constexpr size_t random_blocks = 16;
constexpr size_t block_elements = 8;

// 16 bits for each element of the blocks counter, counter + 1, ...: two for each word, the lower half first.
inline void random_halves(uint16_t (&halves)[random_blocks * block_elements], uint64_t counter, const RandomStream& from) {
  uint32_t c0[random_blocks], c1[random_blocks], c2[random_blocks], c3[random_blocks];
  for (size_t i = 0; i < random_blocks; ++i) {
    c0[i] = static_cast<uint32_t>(counter + i);
    c1[i] = static_cast<uint32_t>((counter + i) >> 32);
    c2[i] = from.stream;
    c3[i] = 0;
  }
  uint32_t k0 = from.key_low, k1 = from.key_high;
  for (int round = 0; round < 10; ++round) {
    for (size_t i = 0; i < random_blocks; ++i) {
      const uint32_t high0 = static_cast<uint32_t>(uint64_t{c0[i]} * 0xd2511f53u >> 32), low0 = c0[i] * 0xd2511f53u;
      const uint32_t high1 = static_cast<uint32_t>(uint64_t{c2[i]} * 0xcd9e8d57u >> 32), low1 = c2[i] * 0xcd9e8d57u;
      c0[i] = high1 ^ c1[i] ^ k0;
      c1[i] = low1;
      c2[i] = high0 ^ c3[i] ^ k1;
      c3[i] = low0;
    }
    k0 += 0x9e3779b9u;
    k1 += 0xbb67ae85u;
  }
  uint32_t words[random_blocks * 4];
  for (size_t i = 0; i < random_blocks; ++i) {
    words[4 * i] = c0[i];
    words[4 * i + 1] = c1[i];
    words[4 * i + 2] = c2[i];
    words[4 * i + 3] = c3[i];
  }
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
