#include "convert_dtype.h"

#include <algorithm>
#include <cstring>

#include "formats/nvfp4.h"
#include "validate.h"

namespace weft::cpu {
namespace {

// Elements converted by way of the stack.
constexpr size_t block_elements = 512;

template <class T>
T load_as(const char* memory) {
  T value;
  std::memcpy(&value, memory, sizeof value);
  return value;
}

size_t width_of(plan::PlanDtype dtype) { return static_cast<size_t>(plan::element_bytes(dtype)); }

}  // namespace

void read_elements(const KernelTable& kernels, float* out, const char* memory, plan::PlanDtype dtype, size_t count) {
  switch (dtype) {
    case plan::PlanDtype::f32: return kernels.copy(out, reinterpret_cast<const float*>(memory), count);
    case plan::PlanDtype::bf16: return kernels.bf16_to_f32(out, reinterpret_cast<const uint16_t*>(memory), count);
    case plan::PlanDtype::f16: return kernels.f16_to_f32(out, reinterpret_cast<const uint16_t*>(memory), count);
    case plan::PlanDtype::f8e4m3: return kernels.e4m3_to_f32(out, reinterpret_cast<const uint8_t*>(memory), count);
    case plan::PlanDtype::nvfp4: return;  // has no elements of its own: row_blocks.cc
    case plan::PlanDtype::i32:
      for (size_t i = 0; i < count; ++i) out[i] = static_cast<float>(load_as<int32_t>(memory + 4 * i));
      return;
    case plan::PlanDtype::i8:
      for (size_t i = 0; i < count; ++i) out[i] = static_cast<float>(load_as<int8_t>(memory + i));
  }
}

void write_elements(const KernelTable& kernels, char* memory, plan::PlanDtype dtype, const float* in, size_t count) {
  switch (dtype) {
    case plan::PlanDtype::f32: return kernels.copy(reinterpret_cast<float*>(memory), in, count);
    case plan::PlanDtype::bf16: return kernels.f32_to_bf16(reinterpret_cast<uint16_t*>(memory), in, count);
    case plan::PlanDtype::f16: return kernels.f32_to_f16(reinterpret_cast<uint16_t*>(memory), in, count);
    case plan::PlanDtype::f8e4m3:  // is never written
    case plan::PlanDtype::nvfp4: return;
    case plan::PlanDtype::i32:
      for (size_t i = 0; i < count; ++i) {
        const int32_t value = to_i32(in[i]);
        std::memcpy(memory + 4 * i, &value, 4);
      }
      return;
    case plan::PlanDtype::i8:
      for (size_t i = 0; i < count; ++i) memory[i] = static_cast<char>(to_i8(in[i]));
  }
}

void read_strided(float* out, const char* memory, plan::PlanDtype dtype, int64_t stride, size_t count) {
  const int64_t step = stride * static_cast<int64_t>(width_of(dtype));
  const auto read = [&](auto element) {
    for (size_t i = 0; i < count; ++i) out[i] = element(memory + static_cast<int64_t>(i) * step);
  };
  switch (dtype) {
    case plan::PlanDtype::f32: return read([](const char* p) { return load_as<float>(p); });
    case plan::PlanDtype::bf16: return read([](const char* p) { return from_bf16(load_as<uint16_t>(p)); });
    case plan::PlanDtype::f16: return read([](const char* p) { return from_f16(load_as<uint16_t>(p)); });
    case plan::PlanDtype::f8e4m3: return read([](const char* p) { return decode_e4m3(load_as<uint8_t>(p)); });
    case plan::PlanDtype::nvfp4: return;
    case plan::PlanDtype::i32: return read([](const char* p) { return static_cast<float>(load_as<int32_t>(p)); });
    case plan::PlanDtype::i8: return read([](const char* p) { return static_cast<float>(load_as<int8_t>(p)); });
  }
}

void write_strided(const KernelTable& kernels, char* memory, plan::PlanDtype dtype, int64_t stride, const float* in,
                   size_t count) {
  const size_t width = width_of(dtype);
  char block[block_elements * 4];
  for (size_t begin = 0; begin < count; begin += block_elements) {
    const size_t size = std::min(block_elements, count - begin);
    write_elements(kernels, block, dtype, in + begin, size);
    for (size_t i = 0; i < size; ++i)
      std::memcpy(memory + static_cast<int64_t>(begin + i) * stride * static_cast<int64_t>(width), block + i * width, width);
  }
}

}  // namespace weft::cpu
