// Conversions between storage types, by way of f32: widening is exact, narrowing rounds to nearest even.
#pragma once

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
