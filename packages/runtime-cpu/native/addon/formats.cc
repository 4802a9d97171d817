#include "addon/formats.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <numeric>

#include "error.h"
#include "formats/fp8.h"
#include "kernels.h"
#include "node/values.h"

namespace weft::cpu {
namespace {

// Floats of one pass through the first cache.
constexpr size_t part_elements = 2048;

struct Floats {
  Floats(const Napi::Value& values, const Napi::Value& dtype) {
    const std::string name = text(dtype, "dtype");
    if (name == "f32") type = DType::f32;
    else if (name == "bf16") type = DType::bf16;
    else if (name == "f16") type = DType::f16;
    else throw Error("dtype must be f32, bf16 or f16, not " + name);
    const Bytes bytes = bytes_of(values, "values");
    if (bytes.size % element_bytes(type) != 0)
      throw Error("values: " + std::to_string(bytes.size) + " bytes are no whole number of " + name);
    data = bytes.data;
    count = bytes.size / element_bytes(type);
  }

  // Calls use(floats, first, count) with one part after the other. The bytes need no alignment.
  template <class Use>
  void for_each_part(const KernelTable& kernels, Use use) const {
    for_each_part(kernels, 0, count, use);
  }
  // The same of some elements.
  template <class Use>
  void for_each_part(const KernelTable& kernels, size_t begin, size_t end, Use use) const {
    alignas(64) float values[part_elements];
    alignas(64) uint16_t halves[part_elements];
    for (size_t first = begin; first < end; first += part_elements) {
      const size_t size = std::min(part_elements, end - first);
      const char* from = data + first * element_bytes(type);
      std::memcpy(type == DType::f32 ? static_cast<void*>(values) : halves, from, size * element_bytes(type));
      if (type == DType::bf16) kernels.bf16_to_f32(values, halves, size);
      if (type == DType::f16) kernels.f16_to_f32(values, halves, size);
      use(values, first, size);
    }
  }

  DType type;
  const char* data;
  size_t count;
};

uint8_t* bytes_in(const Napi::Uint8Array& array) {
  return static_cast<uint8_t*>(array.ArrayBuffer().Data()) + array.ByteOffset();
}

}  // namespace

Napi::Value encode_nvfp4_entry(const Napi::CallbackInfo& info) {
  const Floats values(info[0], info[1]);
  if (values.count % nvfp4_block != 0)
    throw Error("values: " + std::to_string(values.count) + " elements are no whole number of blocks of 16");
  if (!info[2].IsNumber()) throw Error("encodeScale must be a number");
  const double wanted = info[2].As<Napi::Number>().DoubleValue();
  // Of a smaller one the inverse is infinite.
  if (!(wanted >= double{FLT_MIN} && wanted <= double{FLT_MAX}))
    throw Error("encodeScale must be from 2^-126 to the largest f32, not " + std::to_string(wanted));
  Nvfp4Encoding encoding{};
  encoding.encode_scale = static_cast<float>(wanted);
  encoding.four_over_six = info[3].ToBoolean();
  const auto array = [&](size_t argument, const char* name, size_t bytes) {
    if (info[argument].IsUndefined()) return Napi::Uint8Array::New(info.Env(), bytes);
    const Bytes given = bytes_of(info[argument], name);
    if (given.size != bytes || !info[argument].IsTypedArray() || info[argument].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
      throw Error("into." + std::string(name) + " must be a Uint8Array of " + std::to_string(bytes) + " bytes");
    return info[argument].As<Napi::Uint8Array>();
  };
  const Napi::Uint8Array codes = array(4, "codes", values.count / 2);
  const Napi::Uint8Array scales = array(5, "scales", values.count / nvfp4_block);
  const KernelTable& kernels = best_kernels();
  values.for_each_part(kernels, [&](const float* floats, size_t first, size_t count) {
    kernels.nvfp4_encode(bytes_in(codes) + first / 2, bytes_in(scales) + first / nvfp4_block, floats, count, encoding);
  });
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("codes", codes);
  result.Set("scales", scales);
  return result;
}

Napi::Value encode_fp8_entry(const Napi::CallbackInfo& info) {
  const Floats values(info[0], info[1]);
  const double columns = info[2].IsNumber() ? info[2].As<Napi::Number>().DoubleValue() : 0;
  if (!(columns >= 1 && columns == std::floor(columns) && columns <= static_cast<double>(std::max<size_t>(values.count, 1))) ||
      values.count % static_cast<size_t>(columns) != 0)
    throw Error("values: " + std::to_string(values.count) + " elements are no whole number of rows of " + std::to_string(columns));
  const size_t length = static_cast<size_t>(columns), rows = values.count / length;
  const Napi::Uint8Array codes = Napi::Uint8Array::New(info.Env(), values.count);
  Napi::Float32Array scales = Napi::Float32Array::New(info.Env(), rows);
  const KernelTable& kernels = best_kernels();
  for (size_t row = 0; row < rows; ++row) {
    const size_t begin = row * length, end = begin + length;
    float amax = 0;
    values.for_each_part(kernels, begin, end, [&](float* floats, size_t, size_t count) {
      kernels.unary[static_cast<size_t>(UnaryOp::abs)](floats, floats, count);
      const float own = kernels.reduce_max(floats, count);
      if (!(own <= amax) && !std::isnan(amax)) amax = own;
    });
    const float scale = fp8_scale(amax);
    scales.Data()[row] = scale;
    // Codes of zero stand for a row that is not finite.
    if (std::isnan(scale)) continue;
    values.for_each_part(kernels, begin, end, [&](const float* floats, size_t first, size_t count) {
      kernels.f32_to_e4m3(bytes_in(codes) + first, floats, count, scale);
    });
  }
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("codes", codes);
  result.Set("scales", scales);
  return result;
}

Napi::Value decode_nvfp4_entry(const Napi::CallbackInfo& info) {
  const Bytes codes = bytes_of(info[0], "codes"), scales = bytes_of(info[1], "scales");
  const size_t count = scales.size * nvfp4_block;
  if (codes.size != count / 2)
    throw Error("codes: " + std::to_string(codes.size) + " bytes, but " + std::to_string(scales.size) + " scales are those of " +
                std::to_string(count / 2));
  Napi::Float32Array values = Napi::Float32Array::New(info.Env(), count);
  best_kernels().nvfp4_decode(values.Data(), reinterpret_cast<const uint8_t*>(codes.data),
                              reinterpret_cast<const uint8_t*>(scales.data), count);
  return values;
}

Napi::Value nvfp4_statistics_entry(const Napi::CallbackInfo& info) {
  const Floats values(info[0], info[1]);
  const Bytes codes = bytes_of(info[2], "codes"), scales = bytes_of(info[3], "scales");
  if (codes.size != values.count / 2 || scales.size * nvfp4_block != values.count)
    throw Error("codes and scales: " + std::to_string(codes.size) + " and " + std::to_string(scales.size) +
                " bytes are not those of " + std::to_string(values.count) + " elements");
  if (!info[4].IsNumber()) throw Error("tensorScale must be a number");
  const double factor = info[4].As<Napi::Number>().DoubleValue();
  const KernelTable& kernels = best_kernels();
  // Lanes of their own, so that sums need not wait for one another.
  constexpr size_t lanes = 8;
  double error[lanes] = {}, power[lanes] = {};
  float largest = 0;
  size_t zero_blocks = 0;
  alignas(64) float decoded[part_elements];
  values.for_each_part(kernels, [&](float* floats, size_t first, size_t count) {
    const auto* own = reinterpret_cast<const uint8_t*>(codes.data) + first / 2;
    kernels.nvfp4_decode(decoded, own, reinterpret_cast<const uint8_t*>(scales.data) + first / nvfp4_block, count);
    for (size_t at = 0; at < count; at += nvfp4_block) {
      uint64_t block;
      std::memcpy(&block, own + at / 2, sizeof block);
      // Magnitudes without their signs.
      if ((block & 0x7777777777777777) == 0) ++zero_blocks;
    }
    for (size_t at = 0; at < count; at += lanes) {
      for (size_t lane = 0; lane < lanes; ++lane) {
        const double value = floats[at + lane], off = value - decoded[at + lane] * factor;
        error[lane] += off * off;
        power[lane] += value * value;
      }
    }
    kernels.unary[static_cast<size_t>(UnaryOp::abs)](decoded, decoded, count);
    largest = std::max(largest, kernels.reduce_max(decoded, count));
  });
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("zeroBlocks", Napi::Number::New(info.Env(), static_cast<double>(zero_blocks)));
  result.Set("amax", Napi::Number::New(info.Env(), double{largest} * factor));
  result.Set("error", Napi::Number::New(info.Env(), std::accumulate(error, error + lanes, 0.0)));
  result.Set("power", Napi::Number::New(info.Env(), std::accumulate(power, power + lanes, 0.0)));
  return result;
}

Napi::Value amax_entry(const Napi::CallbackInfo& info) {
  const Floats values(info[0], info[1]);
  const KernelTable& kernels = best_kernels();
  float largest = 0;
  values.for_each_part(kernels, [&](float* floats, size_t, size_t count) {
    kernels.unary[static_cast<size_t>(UnaryOp::abs)](floats, floats, count);
    const float own = kernels.reduce_max(floats, count);
    if (!(own <= largest) && !std::isnan(largest)) largest = own;
  });
  return Napi::Number::New(info.Env(), double{largest});
}

}  // namespace weft::cpu
