// Conversions and scalar functions, in terms of device.cuh; plain C++ for the device and the simulator alike.
#pragma once

// bf16 is the upper half of an f32.
DEVICE float widen(bf16 value) { return float_of(static_cast<u32>(value.bits) << 16); }
DEVICE float widen(f16 value) { return widen_f16(value); }
DEVICE float widen(float value) { return value; }
DEVICE float widen(i32 value) { return static_cast<float>(value); }
DEVICE float widen(i8 value) { return static_cast<float>(value); }

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
