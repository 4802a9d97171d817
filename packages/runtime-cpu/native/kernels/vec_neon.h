// Vec for 64-bit Arm: 4 lanes. The meaning of every member is stated in vec_portable.h.
#pragma once

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

namespace weft::cpu {
namespace {

struct Vec {
  using F32 = float32x4_t;
  using I32 = int32x4_t;
  using Mask = uint32x4_t;
  static constexpr size_t lanes = 4;
  // 24 accumulators, four vectors of W, broadcasts: 30 of 32 registers.
  static constexpr size_t micro_rows = 6;
  static constexpr size_t micro_vectors = 4;
  static constexpr bool scales = false;
  static constexpr size_t accumulators = 24;

  static F32 zero() { return vdupq_n_f32(0.0f); }
  static F32 set(float x) { return vdupq_n_f32(x); }
  static F32 load(const void* p) {
    F32 v;
    memcpy(&v, p, sizeof v);
    return v;
  }
  static F32 load_partial(const void* p, size_t n) {
    float rest[lanes] = {};
    memcpy(rest, p, n * sizeof(float));
    return vld1q_f32(rest);
  }
  static void store(void* p, F32 v) { memcpy(p, &v, sizeof v); }
  static void store_partial(void* p, F32 v, size_t n) {
    float rest[lanes];
    vst1q_f32(rest, v);
    memcpy(p, rest, n * sizeof(float));
  }

  static uint16x4_t load_halves_partial(const uint16_t* p, size_t n) {
    uint16_t rest[lanes] = {};
    memcpy(rest, p, n * sizeof(uint16_t));
    return vld1_u16(rest);
  }
  static void store_halves(uint16_t* p, uint16x4_t v, size_t n) {
    if (n == lanes) return vst1_u16(p, v);
    uint16_t rest[lanes];
    vst1_u16(rest, v);
    memcpy(p, rest, n * sizeof(uint16_t));
  }
  static F32 widen_bf16(uint16x4_t h) { return vreinterpretq_f32_u32(vshll_n_u16(h, 16)); }
  static F32 widen_f16(uint16x4_t h) { return vcvt_f32_f16(vreinterpret_f16_u16(h)); }
  static F32 load_bf16(const uint16_t* p) { return widen_bf16(vld1_u16(p)); }
  static F32 load_bf16_partial(const uint16_t* p, size_t n) { return widen_bf16(load_halves_partial(p, n)); }
  static F32 load_f16(const uint16_t* p) { return widen_f16(vld1_u16(p)); }
  static F32 load_f16_partial(const uint16_t* p, size_t n) { return widen_f16(load_halves_partial(p, n)); }
  static void store_low_halves(uint16_t* p, I32 v, size_t n) { store_halves(p, vmovn_u32(vreinterpretq_u32_s32(v)), n); }
  static void store_f16(uint16_t* p, F32 v, size_t n) { store_halves(p, vreinterpret_u16_f16(vcvt_f16_f32(v)), n); }

  static F32 add(F32 a, F32 b) { return vaddq_f32(a, b); }
  static F32 sub(F32 a, F32 b) { return vsubq_f32(a, b); }
  static F32 mul(F32 a, F32 b) { return vmulq_f32(a, b); }
  static F32 div(F32 a, F32 b) { return vdivq_f32(a, b); }
  static F32 multiply_add(F32 a, F32 b, F32 c) { return vfmaq_f32(c, a, b); }
  static F32 max(F32 a, F32 b) { return vmaxq_f32(a, b); }
  static F32 min(F32 a, F32 b) { return vminq_f32(a, b); }
  static F32 sqrt(F32 a) { return vsqrtq_f32(a); }
  static F32 floor(F32 a) { return vrndmq_f32(a); }
  static F32 round(F32 a) { return vrndnq_f32(a); }

  static Mask less(F32 a, F32 b) { return vcltq_f32(a, b); }
  static Mask less_equal(F32 a, F32 b) { return vcleq_f32(a, b); }
  static Mask equal(F32 a, F32 b) { return vceqq_f32(a, b); }
  static F32 choose(Mask m, F32 a, F32 b) { return vbslq_f32(m, a, b); }

  static I32 bits(F32 v) { return vreinterpretq_s32_f32(v); }
  static F32 from_bits(I32 v) { return vreinterpretq_f32_s32(v); }
  static I32 set_i32(int32_t x) { return vdupq_n_s32(x); }
  static I32 add_i32(I32 a, I32 b) { return vaddq_s32(a, b); }
  static I32 sub_i32(I32 a, I32 b) { return vsubq_s32(a, b); }
  static I32 and_i32(I32 a, I32 b) { return vandq_s32(a, b); }
  static I32 or_i32(I32 a, I32 b) { return vorrq_s32(a, b); }
  static I32 xor_i32(I32 a, I32 b) { return veorq_s32(a, b); }
  static I32 multiply_u32(I32 a, I32 b, I32& high) {
    const uint32x4_t x = vreinterpretq_u32_s32(a), y = vreinterpretq_u32_s32(b);
    const uint32x4_t lower = vreinterpretq_u32_u64(vmull_u32(vget_low_u32(x), vget_low_u32(y)));
    const uint32x4_t upper = vreinterpretq_u32_u64(vmull_high_u32(x, y));
    high = vreinterpretq_s32_u32(vuzp2q_u32(lower, upper));
    return vreinterpretq_s32_u32(vuzp1q_u32(lower, upper));
  }
  template <int bits>
  static I32 shift_left(I32 a) { return vshlq_n_s32(a, bits); }
  template <int bits>
  static I32 shift_right(I32 a) { return vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(a), bits)); }
  template <int bits>
  static I32 shift_right_signed(I32 a) { return vshrq_n_s32(a, bits); }
  static I32 shift_right_by(I32 a, I32 counts) {
    return vreinterpretq_s32_u32(vshlq_u32(vreinterpretq_u32_s32(a), vnegq_s32(counts)));
  }
  static uint16x4_t load_4_bytes(const uint8_t* p) {
    uint32_t word;
    memcpy(&word, p, sizeof word);
    return vget_low_u16(vmovl_u8(vcreate_u8(word)));
  }
  static I32 load_bytes(const uint8_t* p) { return vreinterpretq_s32_u32(vmovl_u16(load_4_bytes(p))); }
  // The two upper bytes of each value are looked up; the index of the others is beyond the table, which gives zero.
  static F32 e2m1(I32 codes) {
    static const uint8_t upper[32] = {0, 0, 0x80, 0xc0, 0, 0x40, 0x80, 0xc0, 0, 0, 0x80, 0xc0, 0, 0x40, 0x80, 0xc0,
                                      0, 0x3f, 0x3f, 0x3f, 0x40, 0x40, 0x40, 0x40, 0x80, 0xbf, 0xbf, 0xbf, 0xc0, 0xc0, 0xc0, 0xc0};
    const uint8x16x2_t table = {{vld1q_u8(upper), vld1q_u8(upper + 16)}};
    const uint32x4_t code = vandq_u32(vreinterpretq_u32_s32(codes), vdupq_n_u32(15));
    const uint32x4_t index = vmlaq_u32(vdupq_n_u32(0x1000ffffu), code, vdupq_n_u32(0x01010000u));
    return vreinterpretq_f32_u8(vqtbl2q_u8(table, vreinterpretq_u8_u32(index)));
  }
  // By way of f16, which has one more bit of exponent, and a bias that is larger by 8.
  static F32 load_e4m3(const uint8_t* p) {
    const uint16x4_t codes = load_4_bytes(p);
    const uint16x4_t sign = vshl_n_u16(vand_u16(codes, vdup_n_u16(0x80)), 8);
    const uint16x4_t magnitude = vshl_n_u16(vand_u16(codes, vdup_n_u16(0x7f)), 7);
    const F32 values = vmulq_n_f32(widen_f16(vorr_u16(sign, magnitude)), 256);
    return choose(vcltq_f32(vabsq_f32(values), vdupq_n_f32(450)), values, set(__builtin_nanf("")));
  }
  static I32 to_i32(F32 v) { return vcvtnq_s32_f32(v); }
  static F32 to_f32(I32 v) { return vcvtq_f32_s32(v); }

  static float reduce_add(F32 v) {
    const float32x2_t pair = vadd_f32(vget_low_f32(v), vget_high_f32(v));
    return vget_lane_f32(pair, 0) + vget_lane_f32(pair, 1);
  }
  static float reduce_max(F32 v) { return vmaxvq_f32(v); }

  static void transpose(F32 (&r)[lanes]) {
    const float64x2_t a = vreinterpretq_f64_f32(vtrn1q_f32(r[0], r[1])), b = vreinterpretq_f64_f32(vtrn2q_f32(r[0], r[1]));
    const float64x2_t c = vreinterpretq_f64_f32(vtrn1q_f32(r[2], r[3])), d = vreinterpretq_f64_f32(vtrn2q_f32(r[2], r[3]));
    r[0] = vreinterpretq_f32_f64(vtrn1q_f64(a, c));
    r[1] = vreinterpretq_f32_f64(vtrn1q_f64(b, d));
    r[2] = vreinterpretq_f32_f64(vtrn2q_f64(a, c));
    r[3] = vreinterpretq_f32_f64(vtrn2q_f64(b, d));
  }
};

}  // namespace
}  // namespace weft::cpu
