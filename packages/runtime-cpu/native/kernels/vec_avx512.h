// Vec for AVX-512 (F, BW, DQ, VL): 16 lanes. The meaning of every member is stated in vec_portable.h.
#pragma once

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

namespace weft::cpu {
namespace {

struct Vec {
  using F32 = __m512;
  using I32 = __m512i;
  using Mask = __mmask16;
  static constexpr size_t lanes = 16;
  // 28 accumulators, two vectors of W, one broadcast: 31 of 32 registers.
  static constexpr size_t micro_rows = 14;
  static constexpr size_t micro_vectors = 2;
  static constexpr bool scales = true;
  static constexpr size_t accumulators = 24;

  static Mask first(size_t n) { return static_cast<Mask>((1u << n) - 1u); }

  static F32 zero() { return _mm512_setzero_ps(); }
  static F32 set(float x) { return _mm512_set1_ps(x); }
  static F32 load(const void* p) { return _mm512_loadu_ps(p); }
  static F32 load_partial(const void* p, size_t n) { return _mm512_maskz_loadu_ps(first(n), p); }
  static void store(void* p, F32 v) { _mm512_storeu_ps(p, v); }
  static void store_partial(void* p, F32 v, size_t n) { _mm512_mask_storeu_ps(p, first(n), v); }

  static F32 widen_bf16(__m256i h) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
  }
  static F32 load_bf16(const uint16_t* p) {
    return widen_bf16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static F32 load_bf16_partial(const uint16_t* p, size_t n) {
    return widen_bf16(_mm256_maskz_loadu_epi16(first(n), p));
  }
  static F32 load_f16(const uint16_t* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static F32 load_f16_partial(const uint16_t* p, size_t n) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first(n), p));
  }
  static void store_low_halves(uint16_t* p, I32 v, size_t n) {
    _mm256_mask_storeu_epi16(p, first(n), _mm512_cvtepi32_epi16(v));
  }
  static void store_f16(uint16_t* p, F32 v, size_t n) {
    _mm256_mask_storeu_epi16(p, first(n), _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }

  static F32 add(F32 a, F32 b) { return _mm512_add_ps(a, b); }
  static F32 sub(F32 a, F32 b) { return _mm512_sub_ps(a, b); }
  static F32 mul(F32 a, F32 b) { return _mm512_mul_ps(a, b); }
  static F32 div(F32 a, F32 b) { return _mm512_div_ps(a, b); }
  static F32 multiply_add(F32 a, F32 b, F32 c) { return _mm512_fmadd_ps(a, b, c); }
  static F32 max(F32 a, F32 b) { return _mm512_max_ps(a, b); }
  static F32 min(F32 a, F32 b) { return _mm512_min_ps(a, b); }
  static F32 sqrt(F32 a) { return _mm512_sqrt_ps(a); }
  static F32 floor(F32 a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
  static F32 round(F32 a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

  static F32 scale(F32 a, F32 n) { return _mm512_scalef_ps(a, n); }

  static Mask less(F32 a, F32 b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
  static Mask less_equal(F32 a, F32 b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
  static Mask equal(F32 a, F32 b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
  static F32 choose(Mask m, F32 a, F32 b) { return _mm512_mask_blend_ps(m, b, a); }

  static I32 bits(F32 v) { return _mm512_castps_si512(v); }
  static F32 from_bits(I32 v) { return _mm512_castsi512_ps(v); }
  static I32 set_i32(int32_t x) { return _mm512_set1_epi32(x); }
  static I32 add_i32(I32 a, I32 b) { return _mm512_add_epi32(a, b); }
  static I32 sub_i32(I32 a, I32 b) { return _mm512_sub_epi32(a, b); }
  static I32 and_i32(I32 a, I32 b) { return _mm512_and_si512(a, b); }
  static I32 or_i32(I32 a, I32 b) { return _mm512_or_si512(a, b); }
  static I32 xor_i32(I32 a, I32 b) { return _mm512_xor_si512(a, b); }
  static I32 multiply_u32(I32 a, I32 b, I32& high) {
    const I32 even = _mm512_mul_epu32(a, b);
    const I32 odd = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), _mm512_srli_epi64(b, 32));
    high = _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 32), odd);
    return _mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64(odd, 32));
  }
  template <int bits>
  static I32 shift_left(I32 a) { return _mm512_slli_epi32(a, bits); }
  template <int bits>
  static I32 shift_right(I32 a) { return _mm512_srli_epi32(a, bits); }
  template <int bits>
  static I32 shift_right_signed(I32 a) { return _mm512_srai_epi32(a, bits); }
  static I32 shift_right_by(I32 a, I32 counts) { return _mm512_srlv_epi32(a, counts); }
  static __m128i load_16_bytes(const uint8_t* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
  static I32 load_bytes(const uint8_t* p) { return _mm512_cvtepu8_epi32(load_16_bytes(p)); }
  // The permutation reads four bits of each lane and no more.
  static F32 e2m1(I32 codes) {
    return _mm512_permutexvar_ps(codes, _mm512_setr_ps(0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6));
  }
  // By way of f16, which has one more bit of exponent, and a bias that is larger by 8.
  static F32 load_e4m3(const uint8_t* p) { return load_e4m3_times(p, 256); }
  // Codes over 256, times `factor`; NaN where they are.
  static F32 load_e4m3_times(const uint8_t* p, float factor) {
    const __m128i codes = load_16_bytes(p);
    const __m256i halves = _mm256_and_si256(_mm256_slli_epi16(_mm256_cvtepi8_epi16(codes), 7), _mm256_set1_epi16(-0x4080));
    const __mmask16 numbers = _mm_cmpneq_epi8_mask(_mm_or_si128(codes, _mm_set1_epi8(-128)), _mm_set1_epi8(-1));
    return _mm512_mask_mul_ps(set(__builtin_nanf("")), numbers, _mm512_cvtph_ps(halves), set(factor));
  }
  static I32 to_i32(F32 v) { return _mm512_cvtps_epi32(v); }
  static F32 to_f32(I32 v) { return _mm512_cvtepi32_ps(v); }

  static float reduce_add(F32 v) {
    const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    const __m128 quarter = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    const __m128 pair = _mm_add_ps(quarter, _mm_movehl_ps(quarter, quarter));
    return _mm_cvtss_f32(_mm_add_ss(pair, _mm_movehdup_ps(pair)));
  }
  static float reduce_max(F32 v) {
    const __m256 half = _mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    const __m128 quarter = _mm_max_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    const __m128 pair = _mm_max_ps(quarter, _mm_movehl_ps(quarter, quarter));
    return _mm_cvtss_f32(_mm_max_ss(pair, _mm_movehdup_ps(pair)));
  }

  static void transpose(F32 (&r)[lanes]) {
    F32 t[16];
    for (int i = 0; i < 8; ++i) {
      t[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
      t[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    for (int i = 0; i < 4; ++i) {  // r[4 i + j]: within each 128-bit part p, column 4 p + j of rows 4 i .. 4 i + 3
      r[4 * i + 0] = _mm512_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
      r[4 * i + 1] = _mm512_shuffle_ps(t[4 * i], t[4 * i + 2], 0xee);
      r[4 * i + 2] = _mm512_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
      r[4 * i + 3] = _mm512_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xee);
    }
    for (int j = 0; j < 4; ++j) {
      t[j] = _mm512_shuffle_f32x4(r[j], r[4 + j], 0x88);            // parts 0, 2 of rows 0..3 and 4..7
      t[4 + j] = _mm512_shuffle_f32x4(r[j], r[4 + j], 0xdd);        // parts 1, 3
      t[8 + j] = _mm512_shuffle_f32x4(r[8 + j], r[12 + j], 0x88);
      t[12 + j] = _mm512_shuffle_f32x4(r[8 + j], r[12 + j], 0xdd);
    }
    for (int j = 0; j < 4; ++j) {
      r[j] = _mm512_shuffle_f32x4(t[j], t[8 + j], 0x88);
      r[8 + j] = _mm512_shuffle_f32x4(t[j], t[8 + j], 0xdd);
      r[4 + j] = _mm512_shuffle_f32x4(t[4 + j], t[12 + j], 0x88);
      r[12 + j] = _mm512_shuffle_f32x4(t[4 + j], t[12 + j], 0xdd);
    }
  }
};

}  // namespace
}  // namespace weft::cpu
