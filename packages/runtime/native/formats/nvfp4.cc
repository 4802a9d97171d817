#include "formats/nvfp4.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <limits>

namespace weft {
namespace {

constexpr float e2m1_magnitudes[8] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
constexpr float largest_e2m1 = 6, largest_e4m3 = 448;
constexpr uint8_t nan_e4m3 = 0x7f;

uint8_t sign_bit(float value, uint8_t bit) { return std::signbit(value) ? bit : uint8_t{0}; }

// The code of the largest magnitude that is not above it.
uint8_t floor_code(float magnitude) {
  uint8_t code = 0;
  while (code < 7 && e2m1_magnitudes[code + 1] <= magnitude) ++code;
  return code;
}

float e4m3_magnitude(uint8_t code) {
  const int exponent = code >> 3, fraction = code & 7;
  if (code == nan_e4m3) return std::numeric_limits<float>::quiet_NaN();
  return exponent == 0 ? std::ldexp(static_cast<float>(fraction), -9)
                       : std::ldexp(static_cast<float>(8 + fraction), exponent - 10);
}

// The largest magnitude of a block; NaN where a value is not finite.
float largest_of(const float* values) {
  float largest = 0;
  for (size_t i = 0; i < nvfp4_block; ++i) {
    const float magnitude = std::fabs(values[i]);
    if (!(magnitude <= FLT_MAX)) return std::numeric_limits<float>::quiet_NaN();
    largest = std::max(largest, magnitude);
  }
  return largest;
}

// Fills `codes` and gives the squared error.
float encode_block(uint8_t* codes, const float* values, uint8_t scale, float decode_scale, const Nvfp4BlockOptions& options,
                   size_t place) {
  const float unit = decode_e4m3(scale) * decode_scale;
  float error = 0;
  for (size_t i = 0; i < nvfp4_block; ++i) {
    // Without a scale nothing but zero can be meant.
    const float scaled = unit == 0 ? std::copysign(0.0f, values[i]) : values[i] / unit;
    uint8_t code = options.bits == nullptr ? encode_e2m1(scaled) : encode_e2m1_with(scaled, options.bits[place + i]);
    if (options.non_zero && (code & 7) == 0) code |= 1;
    codes[i] = code;
    const float difference = values[i] - decode_e2m1(code) * unit;
    error = error + difference * difference;
  }
  return error;
}

}  // namespace

float decode_e2m1(uint8_t code) {
  const float magnitude = e2m1_magnitudes[code & 7];
  return code & 8 ? -magnitude : magnitude;
}

uint8_t encode_e2m1(float value) {
  const float magnitude = std::min(std::fabs(value), largest_e2m1);
  const uint8_t low = floor_code(magnitude), sign = sign_bit(value, 8);
  if (low == 7) return sign | low;
  const float middle = (e2m1_magnitudes[low] + e2m1_magnitudes[low + 1]) / 2;
  const bool is_up = magnitude > middle || (magnitude == middle && (low & 1) == 1);
  return static_cast<uint8_t>(sign | (low + is_up));
}

uint8_t encode_e2m1_with(float value, uint32_t bits) {
  const float magnitude = std::min(std::fabs(value), largest_e2m1);
  const uint8_t low = floor_code(magnitude), sign = sign_bit(value, 8);
  if (low == 7) return sign | low;
  // Exact: the difference of neighbours, over a power of two.
  const float part = (magnitude - e2m1_magnitudes[low]) / (e2m1_magnitudes[low + 1] - e2m1_magnitudes[low]);
  return static_cast<uint8_t>(sign | (low + (part * 0x1p16f > static_cast<float>(bits))));
}

float decode_e4m3(uint8_t code) {
  const float magnitude = e4m3_magnitude(code & 0x7f);
  return code & 0x80 ? -magnitude : magnitude;
}

uint8_t encode_e4m3(float value) {
  const float magnitude = std::fabs(value);
  if (!(magnitude <= std::numeric_limits<float>::infinity())) return nan_e4m3;
  const uint8_t sign = sign_bit(value, 0x80);
  if (magnitude >= largest_e4m3) return sign | 0x7e;
  // Codes ascend with their values: the one below, by halving, and its neighbour.
  uint8_t low = 0, high = 0x7e;
  while (high - low > 1) {
    const uint8_t middle = static_cast<uint8_t>((low + high) / 2);
    (e4m3_magnitude(middle) <= magnitude ? low : high) = middle;
  }
  // In f64, where both differences are exact.
  const double below = double{magnitude} - e4m3_magnitude(low), above = double{e4m3_magnitude(high)} - magnitude;
  const bool is_up = above < below || (above == below && (low & 1) == 1);
  return sign | (is_up ? high : low);
}

uint8_t encode_e4m3_upward(float magnitude) {
  const uint8_t nearest = encode_e4m3(magnitude);
  return static_cast<uint8_t>(nearest + (nearest < 0x7e && e4m3_magnitude(nearest) < magnitude));
}

float nvfp4_encode_scale(float amax) {
  return amax == 0 ? 1.0f : std::min(largest_e2m1 * largest_e4m3 / amax, FLT_MAX);
}

void encode_nvfp4(uint8_t* codes, uint8_t* scales, const float* values, size_t count, const Nvfp4BlockOptions& options) {
  const float decode_scale = 1 / options.encode_scale;
  for (size_t begin = 0; begin < count; begin += nvfp4_block) {
    uint8_t own[nvfp4_block], other[nvfp4_block];
    uint8_t* packed = codes + begin / 2;
    const float amax = largest_of(values + begin);
    if (std::isnan(amax)) {
      scales[begin / nvfp4_block] = nan_e4m3;
      std::memset(packed, 0, nvfp4_block / 2);
      continue;
    }
    const float scaled = amax * options.encode_scale;
    const auto encode_scale = options.non_zero ? encode_e4m3_upward : encode_e4m3;
    uint8_t scale = encode_scale(scaled / largest_e2m1);
    const uint8_t* chosen = own;
    const float error = encode_block(own, values + begin, scale, decode_scale, options, begin);
    if (options.four_over_six) {
      const uint8_t wider = encode_scale(scaled / 4);
      if (encode_block(other, values + begin, wider, decode_scale, options, begin) < error) scale = wider, chosen = other;
    }
    scales[begin / nvfp4_block] = scale;
    for (size_t i = 0; i < nvfp4_block; i += 2) packed[i / 2] = static_cast<uint8_t>(chosen[i] | chosen[i + 1] << 4);
  }
}

void decode_nvfp4(float* values, const uint8_t* codes, const uint8_t* scales, size_t count) {
  for (size_t i = 0; i < count; ++i)
    values[i] = decode_e2m1(static_cast<uint8_t>(codes[i / 2] >> (4 * (i & 1)))) * decode_e4m3(scales[i / nvfp4_block]);
}

namespace {

// Calls move(byte in tiles, byte of the codes) and move_scale alike for every byte of the canonical rows.
template <class MoveCode, class MoveScale>
void for_each_byte(size_t rows, size_t depth, MoveCode move_code, MoveScale move_scale) {
  for (size_t row = 0; row < rows; ++row) {
    const size_t group = row / nvfp4_group_rows * 9 * depth, in_group = row % nvfp4_group_rows;
    for (size_t byte = 0; byte < depth / 2; ++byte)
      move_code(group + byte / 4 * 64 + in_group * 4 + byte % 4, row * (depth / 2) + byte);
    for (size_t block = 0; block < depth / nvfp4_block; ++block)
      move_scale(group + 8 * depth + block * nvfp4_group_rows + in_group, row * (depth / nvfp4_block) + block);
  }
}

}  // namespace

void nvfp4_to_tiles(uint8_t* tiles, const uint8_t* codes, const uint8_t* scales, size_t rows, size_t depth) {
  std::memset(tiles, 0, nvfp4_tiled_bytes(rows, depth));
  for_each_byte(
      rows, depth, [&](size_t tile, size_t at) { tiles[tile] = codes[at]; },
      [&](size_t tile, size_t at) { tiles[tile] = scales[at]; });
}

void nvfp4_from_tiles(uint8_t* codes, uint8_t* scales, const uint8_t* tiles, size_t rows, size_t depth) {
  for_each_byte(
      rows, depth, [&](size_t tile, size_t at) { codes[at] = tiles[tile]; },
      [&](size_t tile, size_t at) { scales[at] = tiles[tile]; });
}

}  // namespace weft
