// Rounding by counter-based random bits: Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011). The bits of an element are a
// function of key, stream and the element's place in its tensor, the same on every device.
#pragma once

struct RandomStream {
  u32 key_low, key_high, stream;
};

// Key and stream are integers in f32.
DEVICE RandomStream random_stream(float key_low, float key_high, float stream) {
  return {static_cast<u32>(to_i32(key_low)), static_cast<u32>(to_i32(key_high)), static_cast<u32>(to_i32(stream))};
}

// 16 bits for each of 8 elements: two for each word, the lower half first.
struct RandomBlock {
  u32 word[4];
};

DEVICE RandomBlock random_block(u64 counter, RandomStream from) {
  u32 c0 = static_cast<u32>(counter), c1 = static_cast<u32>(counter >> 32), c2 = from.stream, c3 = 0;
  u32 k0 = from.key_low, k1 = from.key_high;
#pragma unroll
  for (i32 round = 0; round < 10; ++round) {
    const u64 first = static_cast<u64>(0xd2511f53u) * c0;
    const u64 second = static_cast<u64>(0xcd9e8d57u) * c2;
    c0 = static_cast<u32>(second >> 32) ^ c1 ^ k0;
    c1 = static_cast<u32>(second);
    c2 = static_cast<u32>(first >> 32) ^ c3 ^ k1;
    c3 = static_cast<u32>(first);
    k0 += 0x9e3779b9u;
    k1 += 0xbb67ae85u;
  }
  return {{c0, c1, c2, c3}};
}

// By choices rather than an index: the words stay in registers.
DEVICE u32 random_half(const RandomBlock& block, u32 at) {
  const u32 word = at < 4 ? (at < 2 ? block.word[0] : block.word[1]) : (at < 6 ? block.word[2] : block.word[3]);
  return word >> (16 * (at & 1)) & 0xffffu;
}

// The bits are added below the last one that bf16 keeps, and what is below is cut off. What was finite stays finite.
DEVICE float round_with(float x, u32 half) {
  const u32 own = bits_of(x);
  const u32 magnitude = own & 0x7fffffffu;
  // As a conversion to bf16 has it: NaN stays NaN, whatever its payload.
  if (magnitude > 0x7f800000u) return float_of((own | 0x400000u) & 0xffff0000u);
  const u32 moved = magnitude + half;
  return float_of(((own & 0x80000000u) | (moved < 0x7f800000u ? moved : magnitude)) & 0xffff0000u);
}

DEVICE float stochastic_round(float x, i64 place, RandomStream from) {
  const u64 at = static_cast<u64>(place);
  return round_with(x, random_half(random_block(at >> 3, from), static_cast<u32>(at & 7)));
}

// Elements at place, place + stride, ...
template <i64 stride, i32 n>
DEVICE Piece<n> stochastic_round(Piece<n> x, i64 place, RandomStream from) {
  if constexpr (stride == 1 && n > 8) {
    // A piece of 8 lies in two blocks at most.
#pragma unroll
    for (i32 first = 0; first < n; first += 8) {
      Piece<8> part;
#pragma unroll
      for (i32 i = 0; i < 8; ++i) part.at[i] = x.at[first + i];
      part = stochastic_round<1>(part, place + first, from);
#pragma unroll
      for (i32 i = 0; i < 8; ++i) x.at[first + i] = part.at[i];
    }
  } else if constexpr (stride == 1) {
    const u64 counter = static_cast<u64>(place) >> 3;
    const u32 first = static_cast<u32>(place & 7);
    const RandomBlock block = random_block(counter, from);
    // A piece that begins within a block may end in the next one.
    const RandomBlock next = first + n > 8 ? random_block(counter + 1, from) : block;
#pragma unroll
    for (i32 i = 0; i < n; ++i) {
      const u32 at = first + i;
      x.at[i] = round_with(x.at[i], at < 8 ? random_half(block, at) : random_half(next, at - 8));
    }
  } else {
#pragma unroll
    for (i32 i = 0; i < n; ++i) x.at[i] = stochastic_round(x.at[i], place + i * stride, from);
  }
  return x;
}
