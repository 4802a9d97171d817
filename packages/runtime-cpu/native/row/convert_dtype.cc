#include "convert_dtype.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "validate.h"

namespace weft::cpu {
namespace {

// Elements converted by way of the stack.
constexpr size_t block_elements = 512;

float from_bf16(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

float from_f16(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t rest = bits & 0x7fffu;
  if (rest >= 0x7c00u) return std::bit_cast<float>(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
  // Scaling by 2^112 corrects the exponent's bias, of subnormals as well.
  const float magnitude = std::bit_cast<float>(rest << 13) * 0x1p112f;
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
}

template <class T>
T load_as(const char* memory) {
  T value;
  std::memcpy(&value, memory, sizeof value);
  return value;
}

size_t width_of(plan::PlanDtype dtype) { return static_cast<size_t>(plan::element_bytes(dtype)); }

}  // namespace

int32_t to_i32(float value) {
  if (!(value > -2147483648.0f)) return value <= -2147483648.0f ? INT32_MIN : 0;
  return value >= 2147483648.0f ? INT32_MAX : static_cast<int32_t>(value);
}

float read_element(const char* memory, plan::PlanDtype dtype) {
  switch (dtype) {
    case plan::PlanDtype::f32: return load_as<float>(memory);
    case plan::PlanDtype::bf16: return from_bf16(load_as<uint16_t>(memory));
    case plan::PlanDtype::f16: return from_f16(load_as<uint16_t>(memory));
    case plan::PlanDtype::i32: return static_cast<float>(load_as<int32_t>(memory));
  }
  return 0;
}

void read_elements(const KernelTable& kernels, float* out, const char* memory, plan::PlanDtype dtype, size_t count) {
  switch (dtype) {
    case plan::PlanDtype::f32: return kernels.copy(out, reinterpret_cast<const float*>(memory), count);
    case plan::PlanDtype::bf16: return kernels.bf16_to_f32(out, reinterpret_cast<const uint16_t*>(memory), count);
    case plan::PlanDtype::f16: return kernels.f16_to_f32(out, reinterpret_cast<const uint16_t*>(memory), count);
    case plan::PlanDtype::i32:
      for (size_t i = 0; i < count; ++i) out[i] = static_cast<float>(load_as<int32_t>(memory + 4 * i));
  }
}

void write_elements(const KernelTable& kernels, char* memory, plan::PlanDtype dtype, const float* in, size_t count) {
  switch (dtype) {
    case plan::PlanDtype::f32: return kernels.copy(reinterpret_cast<float*>(memory), in, count);
    case plan::PlanDtype::bf16: return kernels.f32_to_bf16(reinterpret_cast<uint16_t*>(memory), in, count);
    case plan::PlanDtype::f16: return kernels.f32_to_f16(reinterpret_cast<uint16_t*>(memory), in, count);
    case plan::PlanDtype::i32:
      for (size_t i = 0; i < count; ++i) {
        const int32_t value = to_i32(in[i]);
        std::memcpy(memory + 4 * i, &value, 4);
      }
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
    case plan::PlanDtype::i32: return read([](const char* p) { return static_cast<float>(load_as<int32_t>(p)); });
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

void convert_elements(const KernelTable& kernels, char* out, plan::PlanDtype out_dtype, const char* in,
                      plan::PlanDtype in_dtype, size_t count) {
  const size_t in_width = width_of(in_dtype), out_width = width_of(out_dtype);
  if (in_dtype == out_dtype) {
    std::memcpy(out, in, count * in_width);
    return;
  }
  // Copies to aligned blocks first: files promise no alignment.
  alignas(64) char source[block_elements * 4];
  alignas(64) float values[block_elements];
  for (size_t begin = 0; begin < count; begin += block_elements) {
    const size_t size = std::min(block_elements, count - begin);
    std::memcpy(source, in + begin * in_width, size * in_width);
    read_elements(kernels, values, source, in_dtype, size);
    write_elements(kernels, out + begin * out_width, out_dtype, values, size);
  }
}

}  // namespace weft::cpu
