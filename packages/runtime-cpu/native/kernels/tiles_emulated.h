// Tiles by ordinary vectors, in the order of the AMX unit's sums, so that its callers can be tested on any AVX-512
// processor. Source of the order: Intel's Software Developer's Manual, TDPBF16PS.
#pragma once

#include "tile_operands.h"

namespace weft::cpu {
namespace {

struct Tiles : TileOperands {
  static constexpr bool available = true;
  struct Session {};

  static void multiply(size_t w_tiles, size_t x_tiles, size_t steps, const uint16_t* w, const uint16_t* x, size_t stride,
                       float* to) {
    // The unit takes denormals for zeros, and gives zeros for them.
    constexpr unsigned flushed = 0x8040;
    const unsigned mode = _mm_getcsr();
    _mm_setcsr(mode | flushed);
    for (size_t i = 0; i < w_tiles; ++i)
      for (size_t j = 0; j < x_tiles; ++j, to += sums) multiply_tile(steps, w + i * stride, x + j * stride, to);
    _mm_setcsr(mode);
  }

 private:
  [[gnu::noinline]] static void multiply_tile(size_t steps, const uint16_t* w, const uint16_t* x, float* to) {
    for (size_t row = 0; row < side; ++row) {
      Vec::F32 sum = Vec::zero();
      for (size_t step = 0; step < steps; ++step) {
        Vec::F32 even = Vec::zero(), odd = Vec::zero();
        for (size_t pair = 0; pair < depth / 2; ++pair) {
          float both;
          memcpy(&both, w + step * elements + row * depth + 2 * pair, sizeof both);
          const Vec::F32 a = Vec::set(both), b = Vec::load(x + step * elements + pair * depth);
          even = Vec::multiply_add(PairDot::low(a), PairDot::low(b), even);
          odd = Vec::multiply_add(PairDot::high(a), PairDot::high(b), odd);
        }
        sum = Vec::add(sum, Vec::add(even, odd));
      }
      Vec::store(to + row * side, sum);
    }
  }
};

}  // namespace
}  // namespace weft::cpu
