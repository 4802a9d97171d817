// Matrices of NVFP4 as units that multiply FP4 read them (Blackwell, by cuBLASLt): rows of codes, two to a byte, the first
// in the low half, and block scales in the order of packages/dsl/src/formats/swizzled-scales.ts. Rows are padded with
// zeros to a multiple of 32 elements, scales to whole tiles: what is padded is multiplied as well, and zero times NaN is
// NaN. Compiled and simulated; no such unit has read it yet.
#pragma once

// Where a matrix of rows of `length` elements lies in scratch.
template <i32 length>
struct Fp4Operand {
  static constexpr i32 padded = (length + 31) / 32 * 32;
  // Tiles of scales side by side, of 4 blocks each.
  static constexpr i32 tiles = (length + 63) / 64;
  Global<u32> codes;
  Global<u8> scales;
};

// `codes` and `scales`: where they begin, in bytes.
template <i32 length>
DEVICE Fp4Operand<length> fp4_operand(const Slot& scratch, i64 codes, i64 scales) {
  return {part_of(global<u32>(scratch), codes / 4), part_of(global<u8>(scratch), scales)};
}

template <i32 length>
DEVICE i64 swizzled_place(i64 row, i32 block) {
  const i64 tile = (row >> 7) * Fp4Operand<length>::tiles + (block >> 2);
  return tile * 512 + ((row & 31) * 16 + ((row >> 5) & 3) * 4 + (block & 3));
}

// One block of a row; behind the last one, zeros up to where rows and tiles end.
template <i32 length>
DEVICE void store_operand_block(Fp4Operand<length> to, i64 row, i32 block, const Nvfp4Block& value) {
  if (block < Fp4Operand<length>::padded / 16)
    store8(to.codes, row * (Fp4Operand<length>::padded / 8) + 2 * block, Bytes8{{value.word[0], value.word[1]}});
  store(to.scales, swizzled_place<length>(row, block), static_cast<u8>(value.scale));
}
template <i32 length>
DEVICE void pad_operand_block(Fp4Operand<length> to, i64 row, i32 block) {
  store_operand_block(to, row, block, Nvfp4Block{{0, 0}, 0});
}

// The scale of a block in a row that only fills up a tile.
template <i32 length>
DEVICE void pad_operand_scale(Fp4Operand<length> to, i64 row, i32 block) {
  store(to.scales, swizzled_place<length>(row, block), static_cast<u8>(0));
}

// One block of a matrix in tiles, or of what is padded. Items of a warp are eight rows and four blocks of each, as those of
// dequantise_block.
template <i32 rows, i32 length>
DEVICE void repack_block(Global<nvfp4> from, Fp4Operand<length> to, i64 item) {
  constexpr i32 columns = Fp4Operand<length>::tiles;
  const i32 lane = static_cast<i32>(item & 31);
  const i32 tile = static_cast<i32>(item >> 6);
  const i32 row = tile / columns * 16 + (static_cast<i32>(item) >> 2 & 8) + (lane & 7);
  const i32 block = tile % columns * 4 + (lane >> 3);
  const i32 k = 16 * block;
  if (row >= (rows + 127) / 128 * 128) return;
  if (row >= rows) {
    pad_operand_scale(to, row, block);
  } else if (k >= length) {
    pad_operand_block(to, row, block);
  } else {
    const i64 codes = codes_place<length>(row, k);
    const u32 low = load(from, codes).word;
    const u32 high = load(from, codes + 16).word;
    store_operand_block(to, row, block, Nvfp4Block{{low, high}, load_scale<length>(from, row, k)});
  }
}

// Whether every value is a code times this scale; fills the codes.
DEVICE bool fill_codes(Nvfp4Block& block, const Piece<16>& x, float scale) {
  bool is_exact = true;
  block.word[0] = block.word[1] = 0;
#pragma unroll
  for (i32 i = 0; i < 16; ++i) {
    const u32 code = e2m1_code(x.at[i] / scale);
    const float magnitude = rounded_product(e2m1_magnitude(code & 7u), scale);
    is_exact = is_exact && magnitude == fabsf(x.at[i]);
    block.word[i >> 3] |= code << (4 * (i & 7));
  }
  return is_exact;
}

// The block of values that are code times scale already, to the bit. The largest code is 6 wherever the scale was not too
// small to be exact; else it is one of the others, and the first that all values agree with will do.
DEVICE Nvfp4Block block_of_values(const Piece<16>& x) {
  Nvfp4Block block = {{0, 0}, 0x7f};
  float largest = 0.0f;
  bool is_number = true;
#pragma unroll
  for (i32 i = 0; i < 16; ++i) {
    const float magnitude = fabsf(x.at[i]);
    is_number = is_number && magnitude == magnitude;
    largest = magnitude > largest ? magnitude : largest;
    block.word[i >> 3] |= bits_of(x.at[i]) >> 31 << (4 * (i & 7) + 3);
  }
  if (!is_number) return Nvfp4Block{{0, 0}, 0x7f};
  block.scale = 0;
  if (largest == 0.0f) return block;
  for (u32 code = 7; code > 0; --code) {
    const float scale = largest / e2m1_magnitude(code);
    block.scale = e4m3_code(scale);
    if (e4m3_value(block.scale) == scale && fill_codes(block, x, scale)) return block;
  }
  // No such block has these values: what is multiplied must not be something else in silence.
  return Nvfp4Block{{0, 0}, 0x7f};
}
