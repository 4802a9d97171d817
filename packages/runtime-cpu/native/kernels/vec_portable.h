// Vec: the vector of one instruction set. The kernels are written once in terms of it and compiled once per set.
//
// This is the portable one, four lanes of the compiler's generic vectors, and the definition of what each member
// means. Everything here and in the kernels has internal linkage: the linker must never merge a function compiled for
// AVX-512 with its twin compiled for any processor.
//
//   lanes                     f32 lanes of a vector
//   micro_rows, micro_vectors register block of the matrix product: rows of A by vectors of columns
//   accumulators              vectors that a matrix-vector product may keep in registers
//   load, store               any alignment; *_partial touch the first n < lanes elements only, loading zeros beyond
//   store_low_halves          the low 16 bits of each lane, first n <= lanes
//   scales, scale(a, n)       whether there is an instruction for a * 2^n, and that
//   max(a, b), min(a, b)      b if either is NaN (neon: NaN)
//   round                     to nearest even, for |x| < 2^22
//   choose(mask, a, b)        mask ? a : b
//   multiply_u32              of unsigned lanes: the lower 32 bits, and the upper ones in `high`
//   shift_right_by            each lane by its own count, below 32
//   load_bytes                lanes bytes, as whole numbers
//   e2m1                      the value of the four low bits of each lane, whatever stands above them
//   load_e4m3                 lanes bytes, all 256 codes; NaN for 0x7f and 0xff
//   to_i32                    of a vector that holds whole numbers; anything for NaN
//   reduce_add, reduce_max    over the lanes, in a fixed order
//   transpose                 a lanes by lanes block in registers
#pragma once

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "e4m3.h"

namespace weft::cpu {
namespace {

struct Vec {
  typedef float F32 __attribute__((vector_size(16)));
  typedef int32_t I32 __attribute__((vector_size(16)));
  typedef uint32_t U32 __attribute__((vector_size(16)));
  using Mask = I32;
  static constexpr size_t lanes = 4;
  static constexpr size_t micro_rows = 4;
  static constexpr size_t micro_vectors = 2;
  static constexpr bool scales = false;
  static constexpr size_t accumulators = 8;

  static F32 zero() { return F32{}; }
  static F32 set(float x) { return F32{x, x, x, x}; }
  static F32 load(const void* p) {
    F32 v{};
    memcpy(&v, p, sizeof v);
    return v;
  }
  static F32 load_partial(const void* p, size_t n) {
    F32 v{};
    memcpy(&v, p, n * sizeof(float));
    return v;
  }
  static void store(void* p, F32 v) { memcpy(p, &v, sizeof v); }
  static void store_partial(void* p, F32 v, size_t n) { memcpy(p, &v, n * sizeof(float)); }

  static F32 load_bf16(const uint16_t* p) { return load_bf16_partial(p, lanes); }
  static F32 load_bf16_partial(const uint16_t* p, size_t n) {
    uint32_t wide[lanes] = {};
    for (size_t i = 0; i < n; ++i) wide[i] = static_cast<uint32_t>(p[i]) << 16;
    return load(wide);
  }
  static F32 load_f16(const uint16_t* p) { return load_f16_partial(p, lanes); }
  static F32 load_f16_partial(const uint16_t* p, size_t n) {
    float wide[lanes] = {};
    for (size_t i = 0; i < n; ++i) wide[i] = widen_f16(p[i]);
    return load(wide);
  }
  static void store_low_halves(uint16_t* p, I32 v, size_t n) {
    for (size_t i = 0; i < n; ++i) p[i] = static_cast<uint16_t>(v[i]);
  }
  static void store_f16(uint16_t* p, F32 v, size_t n) {
    for (size_t i = 0; i < n; ++i) p[i] = narrow_f16(v[i]);
  }

  static F32 add(F32 a, F32 b) { return a + b; }
  static F32 sub(F32 a, F32 b) { return a - b; }
  static F32 mul(F32 a, F32 b) { return a * b; }
  static F32 div(F32 a, F32 b) { return a / b; }
  static F32 multiply_add(F32 a, F32 b, F32 c) { return a * b + c; }
  static F32 max(F32 a, F32 b) { return a > b ? a : b; }
  static F32 min(F32 a, F32 b) { return a < b ? a : b; }
  static F32 sqrt(F32 a) {
    for (size_t i = 0; i < lanes; ++i) a[i] = __builtin_sqrtf(a[i]);
    return a;
  }
  static F32 floor(F32 a) {
    for (size_t i = 0; i < lanes; ++i) a[i] = __builtin_floorf(a[i]);
    return a;
  }
  static F32 round(F32 a) {
    const F32 magic = set(12582912.0f);  // 1.5 * 2^23: adding it leaves no fraction bits
    return (a + magic) - magic;
  }

  static Mask less(F32 a, F32 b) { return a < b; }
  static Mask less_equal(F32 a, F32 b) { return a <= b; }
  static Mask equal(F32 a, F32 b) { return a == b; }
  static F32 choose(Mask m, F32 a, F32 b) { return m ? a : b; }

  static I32 bits(F32 v) { return reinterpret_cast<I32>(v); }
  static F32 from_bits(I32 v) { return reinterpret_cast<F32>(v); }
  static I32 set_i32(int32_t x) { return I32{x, x, x, x}; }
  // Unsigned inside: signed overflow is undefined, and NaN lanes may carry anything.
  static I32 add_i32(I32 a, I32 b) { return reinterpret_cast<I32>(reinterpret_cast<U32>(a) + reinterpret_cast<U32>(b)); }
  static I32 sub_i32(I32 a, I32 b) { return reinterpret_cast<I32>(reinterpret_cast<U32>(a) - reinterpret_cast<U32>(b)); }
  static I32 and_i32(I32 a, I32 b) { return a & b; }
  static I32 or_i32(I32 a, I32 b) { return a | b; }
  static I32 xor_i32(I32 a, I32 b) { return a ^ b; }
  static I32 multiply_u32(I32 a, I32 b, I32& high) {
    for (size_t i = 0; i < lanes; ++i)
      high[i] = static_cast<int32_t>(uint64_t{static_cast<uint32_t>(a[i])} * static_cast<uint32_t>(b[i]) >> 32);
    return reinterpret_cast<I32>(reinterpret_cast<U32>(a) * reinterpret_cast<U32>(b));
  }
  template <int bits>
  static I32 shift_left(I32 a) { return reinterpret_cast<I32>(reinterpret_cast<U32>(a) << bits); }
  template <int bits>
  static I32 shift_right(I32 a) { return reinterpret_cast<I32>(reinterpret_cast<U32>(a) >> bits); }
  template <int bits>
  static I32 shift_right_signed(I32 a) { return a >> bits; }
  static I32 shift_right_by(I32 a, I32 counts) {
    return reinterpret_cast<I32>(reinterpret_cast<U32>(a) >> reinterpret_cast<U32>(counts));
  }
  static I32 load_bytes(const uint8_t* p) { return I32{p[0], p[1], p[2], p[3]}; }
  static F32 e2m1(I32 codes) {
    constexpr float values[16] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6};
    return F32{values[codes[0] & 15], values[codes[1] & 15], values[codes[2] & 15], values[codes[3] & 15]};
  }
  static F32 load_e4m3(const uint8_t* p) { return F32{widen_e4m3(p[0]), widen_e4m3(p[1]), widen_e4m3(p[2]), widen_e4m3(p[3])}; }
  static I32 to_i32(F32 v) {
    I32 r{};
    for (size_t i = 0; i < lanes; ++i) r[i] = v[i] == v[i] ? static_cast<int32_t>(v[i]) : 0;
    return r;
  }
  static F32 to_f32(I32 v) { return __builtin_convertvector(v, F32); }

  static float reduce_add(F32 v) { return (v[0] + v[2]) + (v[1] + v[3]); }
  static float reduce_max(F32 v) {
    const float a = v[0] > v[2] ? v[0] : v[2], b = v[1] > v[3] ? v[1] : v[3];
    return a > b ? a : b;
  }
  static void transpose(F32 (&r)[lanes]) {
    const F32 a = r[0], b = r[1], c = r[2], d = r[3];
    for (size_t i = 0; i < lanes; ++i) r[i] = F32{a[i], b[i], c[i], d[i]};
  }

 private:
  static float float_of(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
  }
  static uint32_t bits_of(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
  }
  static float widen_f16(uint16_t h) {
    const uint32_t sign = static_cast<uint32_t>(h & 0x8000u) << 16, magnitude = h & 0x7fffu;
    if (magnitude >= 0x7c00u)  // infinity, or a NaN made quiet
      return float_of(sign | 0x7f800000u | (magnitude > 0x7c00u ? 0x400000u : 0u) | ((magnitude & 0x3ffu) << 13));
    if (magnitude < 0x400u) {  // a denormal is a whole number of 2^-24
      const float value = static_cast<float>(magnitude) * 0x1p-24f;
      return float_of(sign | bits_of(value));
    }
    return float_of(sign | ((magnitude << 13) + (112u << 23)));
  }
  static uint16_t narrow_f16(float f) {
    const uint32_t bits = bits_of(f), sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x1ffu));
    if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);  // rounds beyond 65504
    if (magnitude < 0x38800000u)  // below 2^-14: adding 0.5 rounds to a whole number of 2^-24 in the low bits
      return static_cast<uint16_t>(sign | (bits_of(float_of(magnitude) + 0.5f) - 0x3f000000u));
    return static_cast<uint16_t>(sign | ((magnitude + 0xfffu + ((magnitude >> 13) & 1u) - (112u << 23)) >> 13));
  }
};

}  // namespace
}  // namespace weft::cpu
