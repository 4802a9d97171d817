// Conversions and scalar functions, in terms of device.cuh; plain C++ for the device and the simulator alike.
#pragma once

// bf16 is the upper half of an f32.
DEVICE float widen(bf16 value) { return float_of(static_cast<u32>(value.bits) << 16); }
DEVICE float widen(f16 value) { return widen_f16(value); }
DEVICE float widen(float value) { return value; }
DEVICE float widen(i32 value) { return static_cast<float>(value); }
DEVICE float widen(i8 value) { return static_cast<float>(value); }

// Codes of E4M3 in the upper bytes of both halves as bf16. Exponent and fraction are at their places, which is 2^-120 of what
// they mean; the product is exact. A code that is NaN becomes 480.
DEVICE u32 finite_e4m3x2(u32 upper) {
  return mul_bf16x2((upper & 0x80008000u) | ((upper >> 4) & 0x07f007f0u), 0x7b807b80u);
}
// Whether one of four codes is NaN.
DEVICE bool has_nan_e4m3(u32 codes) { return (((codes & 0x7f7f7f7fu) + 0x01010101u) & 0x80808080u) != 0; }
DEVICE u32 e4m3x2(u32 upper) {
  u32 pair = finite_e4m3x2(upper);
  if ((upper & 0x7f00u) == 0x7f00u) pair = (pair & 0xffff0000u) | 0x7fc0u;
  if ((upper & 0x7f000000u) == 0x7f000000u) pair = (pair & 0xffffu) | 0x7fc00000u;
  return pair;
}
DEVICE float widen(f8e4m3 value) { return float_of(e4m3x2(static_cast<u32>(value.bits) << 24) & 0xffff0000u); }

DEVICE bf16 narrow_bf16(float value) {
  const u32 bits = bits_of(value);
  // NaN stays NaN, whatever its payload.
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<u16>((bits >> 16) | 0x40u)};
  return {static_cast<u16>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}

template <typename T>
struct Narrow;
template <>
struct Narrow<float> {
  DEVICE float of(float value) { return value; }
};
template <>
struct Narrow<bf16> {
  DEVICE bf16 of(float value) { return narrow_bf16(value); }
};
template <>
struct Narrow<f16> {
  DEVICE f16 of(float value) { return narrow_f16(value); }
};
template <>
struct Narrow<i32> {
  DEVICE i32 of(float value) { return to_i32(value); }
};

// To nearest even, saturated at -127 and 127; 0 for NaN.
DEVICE i8 narrow_i8(float value) {
  const float within = value >= 127.0f ? 127.0f : value > -127.0f ? value : value <= -127.0f ? -127.0f : 0.0f;
  // Beside 1.5 * 2^23 a float has no fraction, so the addition rounds, and the number is in the lowest bits.
  return static_cast<i8>(static_cast<i32>(bits_of(within + 12582912.0f)) - 0x4b400000);
}
template <>
struct Narrow<i8> {
  DEVICE i8 of(float value) { return narrow_i8(value); }
};

// Whether two types are one.
template <typename A, typename B>
struct Same {
  static constexpr bool yes = false;
};
template <typename A>
struct Same<A, A> {
  static constexpr bool yes = true;
};

// The value of one of the plan's symbols.
template <i32 slots>
DEVICE i64 symbol(const Args<slots>& args, i32 index) {
  return load(global<i32>(args.symbols), index);
}
