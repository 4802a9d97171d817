// Conversions and scalar functions, in terms of device.cuh; plain C++ for the device and the simulator alike.
#pragma once

// bf16 is the upper half of an f32.
DEVICE float widen(bf16 value) { return float_of(static_cast<u32>(value.bits) << 16); }
DEVICE float widen(f16 value) { return widen_f16(value); }
DEVICE float widen(float value) { return value; }
DEVICE float widen(i32 value) { return static_cast<float>(value); }

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
