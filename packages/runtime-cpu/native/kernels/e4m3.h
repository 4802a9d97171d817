// One E4M3 code as a float, for any processor.
#pragma once

#include <stdint.h>
#include <string.h>

namespace weft::cpu {
namespace {

// All 256 codes; NaN for 0x7f and 0xff.
inline float widen_e4m3(uint8_t code) {
  const uint32_t sign = static_cast<uint32_t>(code & 0x80u) << 24, magnitude = code & 0x7fu;
  uint32_t bits = (magnitude << 20) + (120u << 23);
  if (magnitude == 0x7fu) {
    bits = 0x7fc00000u;
  } else if (magnitude < 8u) {
    const float value = static_cast<float>(magnitude) * 0x1p-9f;
    memcpy(&bits, &value, sizeof bits);
  }
  bits |= sign;
  float result;
  memcpy(&result, &bits, sizeof result);
  return result;
}

}  // namespace
}  // namespace weft::cpu
