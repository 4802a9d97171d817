// ByteDot: products of NVFP4 codes with a row of X in whole numbers, four bytes to a lane. One vector is a group of 16
// columns. `Sum` adds four products of unsigned and signed bytes to each lane.
#pragma once

#include <immintrin.h>

#include "nvfp4_whole.h"
#include "unroll.h"

namespace weft::cpu {
namespace {

template <class Sum>
struct ByteDotAvx512 {
  static constexpr bool available = true;
  // The codes of one block of 16 columns, twice their value and 12: bytes from 0 to 24. Their order is that of
  // WholeBlock's limbs.
  struct Codes {
    __m512i part[4];
  };

  static __m512i looked_up(__m512i nibbles) {
    const __m512i table = _mm512_broadcast_i32x4(_mm_setr_epi8(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0));
    return _mm512_shuffle_epi8(table, _mm512_and_si512(nibbles, _mm512_set1_epi8(15)));
  }
  // `words`: of tiles, two vectors of eight codes for each column.
  static Codes load(const uint8_t* words) {
    const __m512i first = _mm512_loadu_si512(words), second = _mm512_loadu_si512(words + 64);
    return {looked_up(first), looked_up(_mm512_srli_epi16(first, 4)), looked_up(second), looked_up(_mm512_srli_epi16(second, 4))};
  }
  // As they lie in a panel that was unpacked before.
  static Codes load_unpacked(const uint8_t* bytes) {
    return {_mm512_load_si512(bytes), _mm512_load_si512(bytes + 64), _mm512_load_si512(bytes + 128), _mm512_load_si512(bytes + 192)};
  }
  static void store_unpacked(uint8_t* bytes, const Codes& codes) {
    for (int i = 0; i < 4; ++i) _mm512_store_si512(bytes + 64 * i, codes.part[i]);
  }

  // The block's sum of twice the code times the whole number, exact in 32 bits before it becomes a float.
  static Vec::F32 multiply(const Codes& codes, const WholeBlock& x) {
    const auto add_limb = [&](__m512i sum, size_t limb) __attribute__((always_inline)) {
      WEFT_UNROLL(4)
      for (size_t i = 0; i < 4; ++i) {
        int32_t four;
        memcpy(&four, x.limbs[limb] + 4 * i, sizeof four);
        sum = Sum::add(sum, codes.part[i], _mm512_set1_epi32(four));
      }
      return sum;
    };
    const __m512i high = _mm512_slli_epi32(add_limb(_mm512_setzero_si512(), 0), 8);
    const __m512i upper = _mm512_slli_epi32(add_limb(high, 1), 8);
    return _mm512_cvtepi32_ps(_mm512_add_epi32(upper, add_limb(_mm512_set1_epi32(x.correction), 2)));
  }

  // Sixteen scales over 256, times `factor`.
  static Vec::F32 scales(const uint8_t* codes, float factor) { return Vec::load_e4m3_times(codes, factor); }

  static void pack(WholeBlock& out, Vec::F32 x) {
    const __m512i magnitudes = _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(0x7fffffff));
    const WholeScale scale(_mm512_reduce_max_epu32(magnitudes));
    const __m512i whole = _mm512_cvtps_epi32(_mm512_mul_ps(x, _mm512_set1_ps(scale.units)));
    out.correction = -12 * _mm512_reduce_add_epi32(whole);
    out.factor = scale.factor;
    // Digits of -128 to 127: those of 0 to 255 of the number above its least, less 128.
    const __m512i order = _mm512_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15);
    const __m512i ordered = _mm512_permutexvar_epi32(order, _mm512_add_epi32(whole, _mm512_set1_epi32(0x808080)));
    const auto store = [&](size_t limb, __m512i digits) {
      const __m128i bytes = _mm_xor_si128(_mm512_cvtepi32_epi8(digits), _mm_set1_epi8(-128));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out.limbs[limb]), bytes);
    };
    store(0, _mm512_srli_epi32(ordered, 16));
    store(1, _mm512_srli_epi32(ordered, 8));
    store(2, ordered);
  }
};

}  // namespace
}  // namespace weft::cpu
