#include "weights/convert_elements.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "formats/nvfp4.h"
#include "validate.h"

namespace weft {
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

template <auto one, class Out, class In>
void row(Out* out, const In* in, size_t count) {
  for (size_t i = 0; i < count; ++i) out[i] = one(in[i]);
}

void widen(const Converters& converters, float* out, const char* memory, plan::PlanDtype dtype, size_t count) {
  switch (dtype) {
    case plan::PlanDtype::f32: std::memcpy(out, memory, count * 4); return;
    case plan::PlanDtype::bf16: return converters.bf16_to_f32(out, reinterpret_cast<const uint16_t*>(memory), count);
    case plan::PlanDtype::f16: return converters.f16_to_f32(out, reinterpret_cast<const uint16_t*>(memory), count);
    case plan::PlanDtype::f8e4m3:  // is kept as it is
    case plan::PlanDtype::nvfp4: return;  // has no elements of its own: formats/nvfp4.h
    case plan::PlanDtype::i32:
      for (size_t i = 0; i < count; ++i) out[i] = static_cast<float>(load_as<int32_t>(memory + 4 * i));
      return;
    case plan::PlanDtype::i8:
      for (size_t i = 0; i < count; ++i) out[i] = static_cast<float>(load_as<int8_t>(memory + i));
  }
}

// `memory` needs the alignment of its element.
void narrow(const Converters& converters, char* memory, plan::PlanDtype dtype, const float* in, size_t count) {
  switch (dtype) {
    case plan::PlanDtype::f32: std::memcpy(memory, in, count * 4); return;
    case plan::PlanDtype::bf16: return converters.f32_to_bf16(reinterpret_cast<uint16_t*>(memory), in, count);
    case plan::PlanDtype::f16: return converters.f32_to_f16(reinterpret_cast<uint16_t*>(memory), in, count);
    case plan::PlanDtype::f8e4m3:
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

}  // namespace

const Converters portable_converters = {row<from_bf16, float, uint16_t>, row<from_f16, float, uint16_t>,
                                        row<to_bf16, uint16_t, float>, row<to_f16, uint16_t, float>};

float from_bf16(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

float from_f16(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t rest = bits & 0x7fffu;
  if (rest >= 0x7c00u) return std::bit_cast<float>(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
  // Scaling by 2^112 corrects the exponent's bias, of subnormals as well.
  const float magnitude = std::bit_cast<float>(rest << 13) * 0x1p112f;
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
}

uint16_t to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>(bits >> 16 | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

uint16_t to_f16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000u);
  const uint32_t rest = bits & 0x7fffffffu;
  if (rest > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u);
  // From halfway between the largest value and the next power of two on.
  if (rest >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);
  if (rest < 0x38800000u) {
    // Subnormal: adding 0.5 leaves the value in units of 2^-24, rounded to nearest even, in the low bits.
    const float shifted = std::bit_cast<float>(rest) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000u));
  }
  return static_cast<uint16_t>(sign | ((rest - 0x38000000u + 0xfffu + (rest >> 13 & 1u)) >> 13));
}

int32_t to_i32(float value) {
  if (!(value > -2147483648.0f)) return value <= -2147483648.0f ? INT32_MIN : 0;
  return value >= 2147483648.0f ? INT32_MAX : static_cast<int32_t>(value);
}

float read_element(const char* memory, plan::PlanDtype dtype) {
  switch (dtype) {
    case plan::PlanDtype::f32: return load_as<float>(memory);
    case plan::PlanDtype::bf16: return from_bf16(load_as<uint16_t>(memory));
    case plan::PlanDtype::f16: return from_f16(load_as<uint16_t>(memory));
    case plan::PlanDtype::f8e4m3: return decode_e4m3(load_as<uint8_t>(memory));
    case plan::PlanDtype::nvfp4: break;
    case plan::PlanDtype::i32: return static_cast<float>(load_as<int32_t>(memory));
    case plan::PlanDtype::i8: return static_cast<float>(load_as<int8_t>(memory));
  }
  return 0;
}

void convert_elements(const Converters& converters, char* out, plan::PlanDtype out_dtype, const char* in,
                      plan::PlanDtype in_dtype, size_t count) {
  const size_t in_width = width_of(in_dtype), out_width = width_of(out_dtype);
  if (in_dtype == out_dtype) {
    std::memcpy(out, in, count * in_width);
    return;
  }
  // Through aligned blocks: files and callers promise no alignment.
  alignas(64) char source[block_elements * 4];
  alignas(64) float values[block_elements];
  for (size_t begin = 0; begin < count; begin += block_elements) {
    const size_t size = std::min(block_elements, count - begin);
    std::memcpy(source, in + begin * in_width, size * in_width);
    widen(converters, values, source, in_dtype, size);
    narrow(converters, source, out_dtype, values, size);
    std::memcpy(out + begin * out_width, source, size * out_width);
  }
}

}  // namespace weft
