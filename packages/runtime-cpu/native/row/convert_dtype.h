// Conversions between storage types and the f32 of registers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels.h"
#include "plan_generated.h"

namespace weft::cpu {

// Integers become floats and back by truncation toward zero; NaN becomes 0, what is too large the nearest integer.
int32_t to_i32(float value);

// Contiguous elements. `memory` needs the alignment of its element only.
void read_elements(const KernelTable& kernels, float* out, const char* memory, plan::PlanDtype dtype, size_t count);
void write_elements(const KernelTable& kernels, char* memory, plan::PlanDtype dtype, const float* in, size_t count);

// Elements `stride` apart (in elements; 0 repeats one when reading).
void read_strided(float* out, const char* memory, plan::PlanDtype dtype, int64_t stride, size_t count);
void write_strided(const KernelTable& kernels, char* memory, plan::PlanDtype dtype, int64_t stride, const float* in,
                   size_t count);

// One element.
float read_element(const char* memory, plan::PlanDtype dtype);

// From storage type to storage type, neither aligned; equal types are copied.
void convert_elements(const KernelTable& kernels, char* out, plan::PlanDtype out_dtype, const char* in,
                      plan::PlanDtype in_dtype, size_t count);

}  // namespace weft::cpu
