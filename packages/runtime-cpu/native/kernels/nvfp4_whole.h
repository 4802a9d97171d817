// Rows of X in whole numbers: each block of 16 under a power of two of its own, that keeps 23 bits below its largest
// value. Times codes of NVFP4, which are halves of whole numbers, a block's sum is then exact in 32 bits, and it is
// rounded once, where a sum in f32 is rounded sixteen times.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

namespace weft::cpu {
namespace {

struct WholeBlock {
  // Digits to the base of 256, from -128 to 127, the highest first. Places as nibbles of words are looked up:
  // 0 2 4 6, 1 3 5 7, 8 10 12 14, 9 11 13 15.
  int8_t limbs[3][16];
  int32_t correction;  // what the codes' 12 too many add to the sum
  float factor;        // of the sum with scales over 256; NaN where a value is not finite
  uint8_t unused[8];   // to a whole line
};
static_assert(sizeof(WholeBlock) == 64);

// How a block is scaled whose largest magnitude has these bits.
struct WholeScale {
  explicit WholeScale(uint32_t largest) {
    // Values are below 2^(exponent - 126). Where all are below 2^-96, what is below 2^-119 is lost.
    const uint32_t least = 30, infinite = 255, exponent = largest >> 23 < least ? least : largest >> 23;
    units = power_of_two(148 - static_cast<int>(exponent));
    // Half, as codes are doubled, and 256.
    factor = exponent == infinite ? __builtin_nanf("") : power_of_two(static_cast<int>(exponent) - 149 + 8);
  }
  static float power_of_two(int n) {
    const uint32_t bits = static_cast<uint32_t>(n + 127) << 23;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
  }
  float units;   // a value times this is a whole number below 2^22, once rounded
  float factor;
};

}  // namespace
}  // namespace weft::cpu
