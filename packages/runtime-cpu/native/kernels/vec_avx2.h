// Vec for AVX2 with FMA and F16C: 8 lanes. The meaning of every member is stated in vec_portable.h.
#pragma once

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

namespace weft::cpu {
namespace {

struct Vec {
  using F32 = __m256;
  using I32 = __m256i;
  using Mask = __m256;
  static constexpr size_t lanes = 8;
  // 12 accumulators, two vectors of W, one broadcast: 15 of 16 registers.
  static constexpr size_t micro_rows = 6;
  static constexpr size_t micro_vectors = 2;
  static constexpr bool scales = false;
  static constexpr size_t accumulators = 12;

  static __m256i first(size_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }

  static F32 zero() { return _mm256_setzero_ps(); }
  static F32 set(float x) { return _mm256_set1_ps(x); }
  static F32 load(const void* p) { return _mm256_loadu_ps(static_cast<const float*>(p)); }
  static F32 load_partial(const void* p, size_t n) { return _mm256_maskload_ps(static_cast<const float*>(p), first(n)); }
  static void store(void* p, F32 v) { _mm256_storeu_ps(static_cast<float*>(p), v); }
  static void store_partial(void* p, F32 v, size_t n) { _mm256_maskstore_ps(static_cast<float*>(p), first(n), v); }

  static __m128i load_halves(const uint16_t* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
  static __m128i load_halves_partial(const uint16_t* p, size_t n) {
    uint16_t rest[lanes] = {};
    memcpy(rest, p, n * sizeof(uint16_t));
    return load_halves(rest);
  }
  static void store_halves(uint16_t* p, __m128i v, size_t n) {
    if (n == lanes) return _mm_storeu_si128(reinterpret_cast<__m128i*>(p), v);
    uint16_t rest[lanes];
    _mm_storeu_si128(reinterpret_cast<__m128i*>(rest), v);
    memcpy(p, rest, n * sizeof(uint16_t));
  }
  static F32 widen_bf16(__m128i h) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16)); }
  static F32 load_bf16(const uint16_t* p) { return widen_bf16(load_halves(p)); }
  static F32 load_bf16_partial(const uint16_t* p, size_t n) { return widen_bf16(load_halves_partial(p, n)); }
  static F32 load_f16(const uint16_t* p) { return _mm256_cvtph_ps(load_halves(p)); }
  static F32 load_f16_partial(const uint16_t* p, size_t n) { return _mm256_cvtph_ps(load_halves_partial(p, n)); }
  static void store_low_halves(uint16_t* p, I32 v, size_t n) {
    const __m256i low = _mm256_and_si256(v, _mm256_set1_epi32(0xffff));
    store_halves(p, _mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1)), n);
  }
  static void store_f16(uint16_t* p, F32 v, size_t n) {
    store_halves(p, _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC), n);
  }

  static F32 add(F32 a, F32 b) { return _mm256_add_ps(a, b); }
  static F32 sub(F32 a, F32 b) { return _mm256_sub_ps(a, b); }
  static F32 mul(F32 a, F32 b) { return _mm256_mul_ps(a, b); }
  static F32 div(F32 a, F32 b) { return _mm256_div_ps(a, b); }
  static F32 multiply_add(F32 a, F32 b, F32 c) { return _mm256_fmadd_ps(a, b, c); }
  static F32 max(F32 a, F32 b) { return _mm256_max_ps(a, b); }
  static F32 min(F32 a, F32 b) { return _mm256_min_ps(a, b); }
  static F32 sqrt(F32 a) { return _mm256_sqrt_ps(a); }
  static F32 floor(F32 a) { return _mm256_floor_ps(a); }
  static F32 round(F32 a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

  static Mask less(F32 a, F32 b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
  static Mask less_equal(F32 a, F32 b) { return _mm256_cmp_ps(a, b, _CMP_LE_OQ); }
  static Mask equal(F32 a, F32 b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
  static F32 choose(Mask m, F32 a, F32 b) { return _mm256_blendv_ps(b, a, m); }

  static I32 bits(F32 v) { return _mm256_castps_si256(v); }
  static F32 from_bits(I32 v) { return _mm256_castsi256_ps(v); }
  static I32 set_i32(int32_t x) { return _mm256_set1_epi32(x); }
  static I32 add_i32(I32 a, I32 b) { return _mm256_add_epi32(a, b); }
  static I32 sub_i32(I32 a, I32 b) { return _mm256_sub_epi32(a, b); }
  static I32 and_i32(I32 a, I32 b) { return _mm256_and_si256(a, b); }
  static I32 or_i32(I32 a, I32 b) { return _mm256_or_si256(a, b); }
  static I32 xor_i32(I32 a, I32 b) { return _mm256_xor_si256(a, b); }
  static I32 multiply_u32(I32 a, I32 b, I32& high) {
    const I32 even = _mm256_mul_epu32(a, b);
    const I32 odd = _mm256_mul_epu32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(b, 32));
    high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
    return _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
  }
  template <int bits>
  static I32 shift_left(I32 a) { return _mm256_slli_epi32(a, bits); }
  template <int bits>
  static I32 shift_right(I32 a) { return _mm256_srli_epi32(a, bits); }
  template <int bits>
  static I32 shift_right_signed(I32 a) { return _mm256_srai_epi32(a, bits); }
  static I32 shift_right_by(I32 a, I32 counts) { return _mm256_srlv_epi32(a, counts); }
  static __m128i load_8_bytes(const uint8_t* p) { return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)); }
  static I32 load_bytes(const uint8_t* p) { return _mm256_cvtepu8_epi32(load_8_bytes(p)); }
  // The permutation reads three bits of each lane: the magnitude.
  static F32 e2m1(I32 codes) {
    const F32 magnitude = _mm256_permutevar8x32_ps(_mm256_setr_ps(0, 0.5f, 1, 1.5f, 2, 3, 4, 6), codes);
    const I32 sign = _mm256_and_si256(_mm256_slli_epi32(codes, 28), _mm256_set1_epi32(INT32_MIN));
    return _mm256_xor_ps(magnitude, _mm256_castsi256_ps(sign));
  }
  // By way of f16, which has one more bit of exponent, and a bias that is larger by 8.
  static F32 load_e4m3(const uint8_t* p) {
    const __m128i codes = _mm_cvtepi8_epi16(load_8_bytes(p));
    const F32 values = _mm256_mul_ps(_mm256_cvtph_ps(_mm_and_si128(_mm_slli_epi16(codes, 7), _mm_set1_epi16(-0x4080))), set(256));
    const I32 magnitude = _mm256_and_si256(_mm256_castps_si256(values), _mm256_set1_epi32(INT32_MAX));
    return choose(less(from_bits(magnitude), set(450)), values, set(__builtin_nanf("")));
  }
  static I32 to_i32(F32 v) { return _mm256_cvtps_epi32(v); }
  static F32 to_f32(I32 v) { return _mm256_cvtepi32_ps(v); }

  static float reduce_add(F32 v) {
    const __m128 half = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    const __m128 pair = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(pair, _mm_movehdup_ps(pair)));
  }
  static float reduce_max(F32 v) {
    const __m128 half = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    const __m128 pair = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(pair, _mm_movehdup_ps(pair)));
  }

  static void transpose(F32 (&r)[lanes]) {
    F32 t[8];
    for (int i = 0; i < 4; ++i) {
      t[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
      t[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    for (int i = 0; i < 2; ++i) {  // r[4 i + j]: in each 128-bit half p, column 4 p + j of rows 4 i .. 4 i + 3
      r[4 * i + 0] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
      r[4 * i + 1] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0xee);
      r[4 * i + 2] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
      r[4 * i + 3] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xee);
    }
    for (int j = 0; j < 4; ++j) {
      t[j] = _mm256_permute2f128_ps(r[j], r[4 + j], 0x20);
      t[4 + j] = _mm256_permute2f128_ps(r[j], r[4 + j], 0x31);
    }
    for (int j = 0; j < 8; ++j) r[j] = t[j];
  }
};

}  // namespace
}  // namespace weft::cpu
