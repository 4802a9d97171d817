// NVFP4: elements in E2M1, blocks of 16 that share a scale in E4M3. What a code is and how it is made is defined in
// packages/dsl/src/formats, how a matrix lies in tiles in packages/runtime/native/formats/nvfp4.h. Indices count
// elements of the matrix, row by row; `length` is that of a row.
#pragma once

// Of a matrix in tiles: the codes of eight elements of a row, the lowest bits first, or the scales of four rows.
struct nvfp4 {
  u32 word;
};

// ---- codes to values

// The pairs of elements i and i + 4 of a word, each in the place of a bf16: exponent and fraction of a code become the
// last two bits of the exponent and the first of the fraction, so the values are 2^-126 of what they mean.
DEVICE void spread_codes(u32 (&pairs)[4], u32 word) {
#pragma unroll
  for (i32 i = 0; i < 4; ++i) {
    const u32 high = word << (12 - 4 * i);
    pairs[i] = (high & 0x80008000u) | ((high >> 6) & 0x01c001c0u);
  }
}

// Scale `row` of four, twice as bf16, times 2^119: by it a spread code becomes its value times 2^-7. Both products are
// exact, and nothing on the way leaves the range of bf16.
DEVICE u32 spread_scale(u32 scales, u32 row) {
  // The sign in all of the upper byte.
  const u32 twice = permute_bytes(scales, 0, 0x8080u + 0x1111u * row) << 4;
  // Exponent and fraction are at their places: 2^-120 of what they mean.
  const u32 scale = mul_bf16x2((twice & 0x87f087f0u), 0x7b807b80u);
  return mul_bf16x2(scale, 0x7b007b00u);
}

// Whether one of four scales is NaN.
DEVICE bool has_nan_scale(u32 scales) { return (((scales & 0x7f7f7f7fu) + 0x01010101u) & 0x80808080u) != 0; }

// The same with NaN where the code is one.
DEVICE u32 spread_any_scale(u32 scales, u32 row) {
  const bool is_nan = ((scales >> (8 * row)) & 0x7fu) == 0x7fu;
  return is_nan ? 0x7fc07fc0u : spread_scale(scales, row);
}

// What spread codes times spread scales are yet to be multiplied by.
constexpr float spread_unit = 128.0f;

DEVICE float low_of(u32 pair) { return float_of(pair << 16); }
DEVICE float high_of(u32 pair) { return float_of(pair & 0xffff0000u); }

// Eight elements of a row as bf16, in their order. `row`: of the four whose scales are given.
DEVICE Bytes16 bf16_of(nvfp4 codes, u32 scales, u32 row) {
  u32 pairs[4];
  spread_codes(pairs, codes.word);
  const u32 scale = spread_any_scale(scales, row);
#pragma unroll
  for (i32 i = 0; i < 4; ++i) pairs[i] = mul_bf16x2(mul_bf16x2(pairs[i], scale), 0x43004300u);
  return {{permute_bytes(pairs[0], pairs[1], 0x5410), permute_bytes(pairs[2], pairs[3], 0x5410),
           permute_bytes(pairs[0], pairs[1], 0x7632), permute_bytes(pairs[2], pairs[3], 0x7632)}};
}

// ---- places in tiles

// Words of a group of 16 rows.
template <i32 length>
constexpr i64 group_words = static_cast<i64>(length) * 9 / 4;

// The word with element k of a row, and the one with the scale of its block.
template <i32 length>
DEVICE i64 codes_place(i32 row, i32 k) {
  return (row >> 4) * group_words<length> + ((k >> 3) * 16 + (row & 15));
}
template <i32 length>
DEVICE i64 scales_place(i32 row, i32 k) {
  return (row >> 4) * group_words<length> + (2 * length + (k >> 4) * 4 + ((row & 15) >> 2));
}
// An element's row, and its place in it.
template <i32 length>
DEVICE i32 row_of(i64 index) {
  return static_cast<i32>(index / length);
}
template <i32 length>
DEVICE i32 within_row(i64 index) {
  return static_cast<i32>(index % length);
}

// ---- loads

// The eight elements around k of a row as bf16.
template <i32 length>
DEVICE Bytes16 load_bf16_of(Global<nvfp4> view, i32 row, i32 k) {
  return bf16_of(load(view, codes_place<length>(row, k)), load(view, scales_place<length>(row, k)).word,
                 static_cast<u32>(row & 3));
}

// The scale of the block with element k of a row. The byte alone: those beside it are other rows', which may be written.
template <i32 length>
DEVICE u32 load_scale(Global<nvfp4> view, i32 row, i32 k) {
  return load(view_as<u8>(view), 4 * scales_place<length>(row, k) + (row & 3));
}

// n elements, all of one row, from a multiple of n on.
template <i32 length, i32 n>
DEVICE Piece<n> load_codes(Global<nvfp4> view, i64 index) {
  const i32 row = row_of<length>(index);
  const i32 k = within_row<length>(index);
  Piece<n> result;
  if constexpr (n % 8 == 0) {
#pragma unroll
    for (i32 i = 0; i < n; i += 8) {
      const nvfp4 codes = load(view, codes_place<length>(row, k + i));
      unpack<bf16>(result.at + i, bf16_of(codes, load_scale<length>(view, row, k + i), 0).word);
    }
  } else {
    const u32 word = load(view, codes_place<length>(row, k)).word >> (4 * (k & 7));
    u32 pairs[4];
    spread_codes(pairs, word);
    const u32 scale = spread_any_scale(load_scale<length>(view, row, k), 0);
#pragma unroll
    for (i32 i = 0; i < n; ++i) result.at[i] = low_of(mul_bf16x2(pairs[i], scale)) * spread_unit;
  }
  return result;
}

template <i32 length>
DEVICE float load_code(Global<nvfp4> view, i64 index) {
  return load_codes<length, 1>(view, index).at[0];
}

// Elements that are `stride` apart.
template <i32 length, i32 n>
DEVICE Piece<n> load_codes_strided(Global<nvfp4> view, i64 index, i64 stride) {
  Piece<n> result;
#pragma unroll
  for (i32 i = 0; i < n; ++i) result.at[i] = load_code<length>(view, index + i * stride);
  return result;
}

// Eight elements around k of a row to a stage of a product, as bf16; zeros where they are not `valid`.
template <i32 length>
DEVICE void stage_codes(Shared<bf16> to, i32 index, Global<nvfp4> from, i32 row, i32 k, bool valid) {
  // Without a branch around the loads: it would cost registers that products need.
  Bytes16 value = load_bf16_of<length>(from, valid ? row : 0, valid ? k : 0);
  if (!valid) value = Bytes16{};
  store16(to, index, value);
}

// The same from any elements: the first `count` of eight from `at` on, `step` apart. `whole`: side by side from a multiple
// of 8 on.
template <i32 length, bool whole>
DEVICE void stage_codes(Shared<bf16> to, i32 index, Global<nvfp4> from, i64 at, i64 step, i64 count) {
  if (whole && (count >= 8 || count <= 0)) {
    stage_codes<length>(to, index, from, row_of<length>(at), within_row<length>(at), count > 0);
    return;
  }
  Bytes16 piece;
#pragma unroll
  for (i32 i = 0; i < 4; ++i) {
    const float low = 2 * i < count ? load_code<length>(from, at + 2 * i * step) : 0.0f;
    const float high = 2 * i + 1 < count ? load_code<length>(from, at + (2 * i + 1) * step) : 0.0f;
    piece.word[i] = bits_of(low) >> 16 | (bits_of(high) & 0xffff0000u);
  }
  store16(to, index, piece);
}

// One block of a matrix to rows of bf16 from `at` on. Items of a warp are eight rows and four blocks of each, so that it
// reads and writes whole sectors.
template <i32 rows, i32 length>
DEVICE void dequantise_block(Global<nvfp4> from, Global<bf16> to, i64 at, i64 item) {
  constexpr i32 columns = (length + 63) / 64;
  const i32 lane = static_cast<i32>(item & 31);
  const i32 tile = static_cast<i32>(item >> 6);
  const i32 row = tile / columns * 16 + (static_cast<i32>(item) >> 2 & 8) + (lane & 7);
  const i32 k = tile % columns * 64 + 16 * (lane >> 3);
  if (row >= rows || k >= length) return;
  const u32 scales = load(from, scales_place<length>(row, k)).word;
  const i64 codes = codes_place<length>(row, k);
#pragma unroll
  for (i32 half = 0; half < 2; ++half)
    store16(to, at + static_cast<i64>(row) * length + k + 8 * half,
            bf16_of(load(from, codes + 16 * half), scales, static_cast<u32>(row & 3)));
}

// Rows of a matrix as columns of a product beside others that are not of this format (gemv.cuh).
template <i32 length>
struct BlockRows {
  Global<nvfp4> view;
};

template <i32 n, i32 length>
DEVICE Piece<n> load_columns(BlockRows<length> rows, i64 index) {
  return load_codes<length, n>(rows.view, index);
}
