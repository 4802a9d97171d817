// NVFP4 by its definition, one element after the other: what kernels of every device must give, byte for byte, and what
// hosts do once. The definition itself is packages/dsl/src/formats; all arithmetic is that of f32, one rounding each.
//
// Canonical layout, as files have it: the codes of a row, two a byte, the first in the low half; one E4M3 scale for each
// block of 16 elements.
//
// Tiles, as devices have it: rows (all axes but the last) in groups of 16, padded with zeros to a whole group. A group
// takes 9 * depth bytes: depth / 8 words of 64 bytes, the w-th of which holds for each row of the group, in order, one
// u32 with its codes of k = 8 w .. 8 w + 7, lowest nibble first; then depth / 16 times 16 bytes, the scales of the 16
// rows for one block. So a lane for each row reads eight codes at once, and finds its scale beside those of its
// neighbours.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weft {

inline constexpr size_t nvfp4_block = 16;       // elements that share a scale
inline constexpr size_t nvfp4_group_rows = 16;  // rows of a group of tiles

// The four low bits of a code; any float that is a number.
float decode_e2m1(uint8_t code);
uint8_t encode_e2m1(float value);
// Up where the part above the code below is more than `bits` / 2^16 of the way to the next one; bits below 2^16.
uint8_t encode_e2m1_with(float value, uint32_t bits);
// All 256 codes, and all floats: what is too large becomes 448, NaN the code 0x7f.
float decode_e4m3(uint8_t code);
uint8_t encode_e4m3(float value);
// The smallest code that is not below a magnitude; 448 for what is too large.
uint8_t encode_e4m3_upward(float magnitude);

// 2688 over the largest magnitude of a tensor; 1 for a tensor of zeros.
float nvfp4_encode_scale(float amax);

struct Nvfp4BlockOptions {
  float encode_scale = 1;          // 2^-126 to the largest float
  bool four_over_six = false;      // 4 or 6 as the largest code, whichever gives the smaller squared error
  bool non_zero = false;           // 0.5 in place of a code of zero, and scales rounded up: no value is cut off
  const uint16_t* bits = nullptr;  // one for each value: codes are rounded up or down by chance
};

// `count` values, whole blocks, to canonical codes and scales. A block with a value that is not finite gets the scale
// NaN and codes of zero.
void encode_nvfp4(uint8_t* codes, uint8_t* scales, const float* values, size_t count, const Nvfp4BlockOptions& options = {});
// Code times scale, exact.
void decode_nvfp4(float* values, const uint8_t* codes, const uint8_t* scales, size_t count);

// Bytes of [rows][depth] in tiles; depth is a multiple of 16.
constexpr size_t nvfp4_tiled_bytes(size_t rows, size_t depth) {
  return (rows + nvfp4_group_rows - 1) / nvfp4_group_rows * 9 * depth;
}
// Canonical rows to tiles and back. Tiles need no alignment.
void nvfp4_to_tiles(uint8_t* tiles, const uint8_t* codes, const uint8_t* scales, size_t rows, size_t depth);
void nvfp4_from_tiles(uint8_t* codes, uint8_t* scales, const uint8_t* tiles, size_t rows, size_t depth);

}  // namespace weft
