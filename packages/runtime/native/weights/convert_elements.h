// Conversions between storage types, by way of f32: widening is exact, narrowing rounds to nearest even.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "plan_generated.h"

namespace weft {

float from_bf16(uint16_t bits);
float from_f16(uint16_t bits);
uint16_t to_bf16(float value);
uint16_t to_f16(float value);
// Truncates toward zero; NaN becomes 0, what is too large the nearest integer.
int32_t to_i32(float value);

// To nearest even, saturated at -127 and 127; 0 for NaN.
inline int8_t to_i8(float value) {
  const float within = value >= 127.0f ? 127.0f : value > -127.0f ? value : value <= -127.0f ? -127.0f : 0.0f;
  // Beside 1.5 * 2^23 a float has no fraction, so the addition rounds, and the number is in the lowest bits.
  return static_cast<int8_t>(std::bit_cast<int32_t>(within + 0x1.8p23f) - 0x4b400000);
}

// Converters of whole rows; a device may have faster ones. Pointers are aligned to their element.
struct Converters {
  void (*bf16_to_f32)(float* out, const uint16_t* in, size_t count);
  void (*f16_to_f32)(float* out, const uint16_t* in, size_t count);
  void (*f32_to_bf16)(uint16_t* out, const float* in, size_t count);
  void (*f32_to_f16)(uint16_t* out, const float* in, size_t count);
};
// For any processor.
extern const Converters portable_converters;

// One element.
float read_element(const char* memory, plan::PlanDtype dtype);

// From storage type to storage type, neither aligned; equal types are copied.
void convert_elements(const Converters& converters, char* out, plan::PlanDtype out_dtype, const char* in,
                      plan::PlanDtype in_dtype, size_t count);

}  // namespace weft
