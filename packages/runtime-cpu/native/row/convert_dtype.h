// Conversions between storage types and the f32 of registers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels.h"
#include "plan_generated.h"
#include "weights/convert_elements.h"

namespace weft::cpu {

// Contiguous elements. `memory` needs the alignment of its element only.
void read_elements(const KernelTable& kernels, float* out, const char* memory, plan::PlanDtype dtype, size_t count);
void write_elements(const KernelTable& kernels, char* memory, plan::PlanDtype dtype, const float* in, size_t count);

// Elements `stride` apart (in elements; 0 repeats one when reading).
void read_strided(float* out, const char* memory, plan::PlanDtype dtype, int64_t stride, size_t count);
void write_strided(const KernelTable& kernels, char* memory, plan::PlanDtype dtype, int64_t stride, const float* in,
                   size_t count);

// Whole rows by the kernels of an instruction set.
inline Converters converters_of(const KernelTable& kernels) {
  return {kernels.bf16_to_f32, kernels.f16_to_f32, kernels.f32_to_bf16, kernels.f32_to_f16};
}

}  // namespace weft::cpu
