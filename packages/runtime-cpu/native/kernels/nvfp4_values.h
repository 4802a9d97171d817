// All values that a code of NVFP4 has under a block's scale, as bf16, which holds them exactly.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace weft::cpu {
namespace {

struct Nvfp4Values {
  constexpr Nvfp4Values() {
    constexpr float magnitudes[8] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
    for (size_t scale = 0; scale < 256; ++scale)
      for (size_t code = 0; code < 16; ++code) {
        const float value = magnitudes[code % 8] * e4m3_magnitude(scale % 128);
        const uint32_t bits = __builtin_bit_cast(uint32_t, value) >> 16 | static_cast<uint32_t>(code / 8 ^ scale / 128) << 15;
        of[scale][code] = static_cast<uint16_t>(scale % 128 == 127 ? 0x7fc0u : bits);
      }
  }
  // Of 0 to 126.
  static constexpr float e4m3_magnitude(size_t code) {
    float value = static_cast<float>(code < 8 ? code : 8 + code % 8) * 0x1p-9f;
    for (size_t octave = 1; octave < code / 8; ++octave) value *= 2;
    return value;
  }
  alignas(64) uint16_t of[256][16];  // [scale][code]
};
constexpr Nvfp4Values nvfp4_values;

}  // namespace
}  // namespace weft::cpu
