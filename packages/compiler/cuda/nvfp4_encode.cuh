// Blocks of 16 values to NVFP4, to the bit as packages/dsl/src/formats/nvfp4.ts. Products that are added are rounded
// first: nothing here may become a fused multiplication.
#pragma once

struct Nvfp4Block {
  // Codes, the first one in the lowest bits.
  u32 word[2];
  u32 scale;
};

// How blocks are encoded. `random`: by chance, else to nearest.
template <bool four_over_six, bool non_zero, bool random>
struct Nvfp4Coding {};

// The magnitude of a code without its sign.
DEVICE float e2m1_magnitude(u32 code) { return float_of(code << 22) * 8.507059173023462e37f; }

DEVICE float e4m3_value(u32 code) {
  // Exponent and fraction at their places: 2^-120 of what they mean.
  return (code & 0x7fu) == 0x7fu ? float_of(0x7fc00000u) : float_of(code << 20) * 1.329227995784916e36f;
}

// Of a magnitude, or NaN; to nearest, ties to even. What is too large becomes 448.
DEVICE u32 e4m3_code(float magnitude) {
  if (magnitude != magnitude) return 0x7f;
  if (magnitude >= 448.0f) return 0x7e;
  // Below 2^-6 codes count multiples of 2^-9, to which adding 2^14 rounds.
  if (magnitude < 0.015625f) return bits_of(magnitude + 16384.0f) - bits_of(16384.0f);
  const u32 bits = bits_of(magnitude);
  return ((bits + 0x7ffffu + ((bits >> 20) & 1u)) >> 20) - (120u << 3);
}

// The smallest code that is not below a magnitude; 448 for what is too large.
DEVICE u32 e4m3_code_upward(float magnitude) {
  const u32 code = e4m3_code(magnitude);
  return code + static_cast<u32>(code < 0x7e && e4m3_value(code) < magnitude);
}

// To nearest, ties to even, beyond 6 it is 6.
DEVICE u32 e2m1_code(float value) {
  const float m = fabsf(value);
  const u32 code = static_cast<u32>(m > 0.25f) + static_cast<u32>(m >= 0.75f) + static_cast<u32>(m > 1.25f) +
                   static_cast<u32>(m >= 1.75f) + static_cast<u32>(m > 2.5f) + static_cast<u32>(m >= 3.5f) +
                   static_cast<u32>(m > 5.0f);
  return code | (bits_of(value) >> 31 << 3);
}

// Up where the part above the code below is more than `bits` / 2^16 of the way to the next one.
DEVICE u32 e2m1_code_with(float value, u32 bits) {
  const float m = fabsf(value);
  const u32 sign = bits_of(value) >> 31 << 3;
  const u32 low = static_cast<u32>(m >= 0.5f) + static_cast<u32>(m >= 1.0f) + static_cast<u32>(m >= 1.5f) +
                  static_cast<u32>(m >= 2.0f) + static_cast<u32>(m >= 3.0f) + static_cast<u32>(m >= 4.0f) +
                  static_cast<u32>(m >= 6.0f);
  if (low == 7) return sign | 7u;
  const float below = e2m1_magnitude(low);
  // Exact: the difference of neighbours, over a power of two.
  const float part = (m - below) / (e2m1_magnitude(low + 1) - below);
  return sign | (low + static_cast<u32>(part * 65536.0f > static_cast<float>(bits)));
}

// Fills the codes and gives the squared error.
template <bool non_zero, bool random>
DEVICE float encode_codes(Nvfp4Block& block, const Piece<16>& x, float decode_scale, const u32 (&bits)[16]) {
  const float unit = rounded_product(e4m3_value(block.scale), decode_scale);
  float error = 0.0f;
  block.word[0] = block.word[1] = 0;
#pragma unroll
  for (i32 i = 0; i < 16; ++i) {
    // Without a scale nothing but zero can be meant.
    const float scaled = unit == 0.0f ? float_of(bits_of(x.at[i]) & 0x80000000u) : x.at[i] / unit;
    u32 code = random ? e2m1_code_with(scaled, bits[i]) : e2m1_code(scaled);
    if (non_zero && (code & 7u) == 0) code |= 1u;
    block.word[i >> 3] |= code << (4 * (i & 7));
    const float magnitude = e2m1_magnitude(code & 7u);
    const float difference = x.at[i] - rounded_product((code & 8u) != 0 ? -magnitude : magnitude, unit);
    error = error + rounded_product(difference, difference);
  }
  return error;
}

template <bool four_over_six, bool non_zero, bool random>
DEVICE Nvfp4Block encode_block(Nvfp4Coding<four_over_six, non_zero, random>, const Piece<16>& x, float encode_scale,
                               const u32 (&bits)[16]) {
  u32 largest = 0;
#pragma unroll
  for (i32 i = 0; i < 16; ++i) {
    const u32 magnitude = bits_of(x.at[i]) & 0x7fffffffu;
    largest = magnitude > largest ? magnitude : largest;
  }
  Nvfp4Block block = {{0, 0}, 0x7f};
  if (largest >= 0x7f800000u) return block;
  const float decode_scale = 1.0f / encode_scale;
  const float scaled = rounded_product(float_of(largest), encode_scale);
  block.scale = non_zero ? e4m3_code_upward(scaled / 6.0f) : e4m3_code(scaled / 6.0f);
  const float error = encode_codes<non_zero, random>(block, x, decode_scale, bits);
  if constexpr (four_over_six) {
    const float wanted = scaled / 4.0f;
    Nvfp4Block wider = {{0, 0}, non_zero ? e4m3_code_upward(wanted) : e4m3_code(wanted)};
    if (encode_codes<non_zero, random>(wider, x, decode_scale, bits) < error) block = wider;
  }
  return block;
}

// To nearest.
template <typename Coding>
DEVICE Nvfp4Block quantize_block(Coding coding, const Piece<16>& x, float encode_scale) {
  const u32 none[16] = {};
  return encode_block(coding, x, encode_scale, none);
}

// By chance. `place` of the first element; the others follow `stride` apart. `whole`: side by side from a multiple of 8 on.
template <bool whole, i64 stride, typename Coding>
DEVICE Nvfp4Block quantize_block(Coding coding, const Piece<16>& x, float encode_scale, i64 place, RandomStream from) {
  u32 bits[16];
  if constexpr (whole) {
#pragma unroll
    for (i32 half = 0; half < 2; ++half) {
      const RandomBlock random = random_block((static_cast<u64>(place) >> 3) + half, from);
#pragma unroll
      for (u32 i = 0; i < 8; ++i) bits[8 * half + i] = random_half(random, i);
    }
  } else {
#pragma unroll
    for (i32 i = 0; i < 16; ++i) {
      const u64 at = static_cast<u64>(place + i * stride);
      bits[i] = random_half(random_block(at >> 3, from), static_cast<u32>(at & 7));
    }
  }
  return encode_block(coding, x, encode_scale, bits);
}

// Elements [first, first + n) of the 16.
template <i32 first, i32 n>
DEVICE void put_part(Piece<16>& whole, const Piece<n>& part) {
#pragma unroll
  for (i32 i = 0; i < n; ++i) whole.at[first + i] = part.at[i];
}

// Code times scale, `n` elements from `first` on.
template <i32 n>
DEVICE Piece<n> piece_of(const Nvfp4Block& block, i32 first) {
  const u32 scale = spread_any_scale(block.scale, 0);
  Piece<n> result;
#pragma unroll
  for (i32 i = 0; i < n; ++i) {
    const i32 at = first + i;
    u32 pairs[4];
    spread_codes(pairs, (at < 8 ? block.word[0] : block.word[1]) >> (4 * (at & 7)));
    result.at[i] = low_of(mul_bf16x2(pairs[0], scale)) * spread_unit;
  }
  return result;
}

// A whole block to its place; `index` is that of its first element.
template <i32 length>
DEVICE void store_block(Global<nvfp4> view, i64 index, const Nvfp4Block& block) {
  const i32 row = row_of<length>(index);
  const i32 k = within_row<length>(index);
  const i64 codes = codes_place<length>(row, k);
  store(view, codes, nvfp4{block.word[0]});
  store(view, codes + 16, nvfp4{block.word[1]});
  // The other bytes of the word are other rows'.
  store(view_as<u8>(view), 4 * scales_place<length>(row, k) + (row & 3), static_cast<u8>(block.scale));
}
