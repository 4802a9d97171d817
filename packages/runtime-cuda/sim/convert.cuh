// Conversions between f32 and f16 in integer arithmetic: not every compiler has a 16-bit float type. And to i32, where C++
// leaves open what the device defines.
#pragma once

DEVICE u32 bits_of(float value) { return __builtin_bit_cast(u32, value); }
DEVICE float float_of(u32 bits) { return __builtin_bit_cast(float, bits); }

// To nearest, ties to even; NaN becomes the one NaN that the hardware gives.
DEVICE f16 narrow_f16(float value) {
  const u32 bits = bits_of(value);
  const u32 sign = (bits >> 16) & 0x8000u;
  const u32 magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return {0x7fff};
  // From halfway between the largest finite value and the next on, which would be 65536.
  if (magnitude >= 0x477ff000u) return {static_cast<u16>(sign | 0x7c00u)};
  // Below 2^-14 the result is subnormal: a multiple of 2^-24, which adding 0.5 brings into the lowest mantissa bits.
  if (magnitude < 0x38800000u)
    return {static_cast<u16>(sign | (bits_of(float_of(magnitude) + 0.5f) - 0x3f000000u))};
  const u32 rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
  return {static_cast<u16>(sign | ((rounded - 0x38000000u) >> 13))};
}

DEVICE float widen_f16(f16 value) {
  const u32 sign = static_cast<u32>(value.bits & 0x8000u) << 16;
  const u32 magnitude = value.bits & 0x7fffu;
  if (magnitude >= 0x7c00u) return float_of(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
  // Subnormal: a multiple of 2^-24.
  if (magnitude < 0x400u) return float_of(sign | bits_of(static_cast<float>(magnitude) * 5.9604644775390625e-8f));
  return float_of(sign | ((magnitude << 13) + 0x38000000u));
}

DEVICE i32 to_i32(float value) {
  if (!(value > -2147483648.0f)) return value <= -2147483648.0f ? -2147483647 - 1 : 0;
  return value >= 2147483648.0f ? 2147483647 : static_cast<i32>(value);
}

DEVICE u32 mul_bf16x2(u32 a, u32 b) {
  u32 result = 0;
  for (u32 half = 0; half < 2; ++half) {
    // Exact in f32 but below 2^-126, where both round to the same multiples; then to the nearest bf16, NaN as the hardware's.
    const float product = float_of(a >> (16 * half) << 16) * float_of(b >> (16 * half) << 16);
    const u32 bits = bits_of(product);
    const u32 narrow = product != product ? 0x7fffu : (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    result |= narrow << (16 * half);
  }
  return result;
}

DEVICE u32 permute_bytes(u32 a, u32 b, u32 selector) {
  u32 result = 0;
  for (u32 i = 0; i < 4; ++i) {
    const u32 choice = selector >> (4 * i);
    const u32 byte = ((choice & 4u) != 0 ? b : a) >> (8 * (choice & 3u)) & 0xffu;
    result |= ((choice & 8u) == 0 ? byte : (byte & 0x80u) != 0 ? 0xffu : 0u) << (8 * i);
  }
  return result;
}

DEVICE float rounded_product(float a, float b) { return a * b; }

DEVICE float fast_rsqrt(float x) { return 1.0f / sqrtf(x); }
// As on the device, 0 for large b.
DEVICE float fast_quotient(float a, float b) {
  return fabsf(b) > 8.507059e37f && fabsf(b) <= 3.402823466e38f ? 0.0f * (a / b) : a / b;
}
