// Conversions between storage types, and how each type is loaded as f32.
#pragma once

namespace weft::cpu {
namespace {

// One per storage type: `Element`, and loads of whole or partial vectors as f32.
struct F32Source {
  using Element = float;
  static Vec::F32 load(const float* p) { return Vec::load(p); }
  static Vec::F32 load_partial(const float* p, size_t n) { return Vec::load_partial(p, n); }
};
struct Bf16Source {
  using Element = uint16_t;
  static Vec::F32 load(const uint16_t* p) { return Vec::load_bf16(p); }
  static Vec::F32 load_partial(const uint16_t* p, size_t n) { return Vec::load_bf16_partial(p, n); }
};
struct F16Source {
  using Element = uint16_t;
  static Vec::F32 load(const uint16_t* p) { return Vec::load_f16(p); }
  static Vec::F32 load_partial(const uint16_t* p, size_t n) { return Vec::load_f16_partial(p, n); }
};

struct E4m3Source {
  using Element = uint8_t;
  static Vec::F32 load(const uint8_t* p) { return Vec::load_e4m3(p); }
  static Vec::F32 load_partial(const uint8_t* p, size_t n) {
    uint8_t codes[Vec::lanes] = {};
    memcpy(codes, p, n);
    return Vec::load_e4m3(codes);
  }
};

// Calls function(Source{}) with the source of a run-time type, which is none of weights alone.
template <class Function>
inline void with_source(DType type, Function&& function) {
  switch (type) {
    case DType::f32: function(F32Source{}); break;
    case DType::bf16: function(Bf16Source{}); break;
    case DType::f16: function(F16Source{}); break;
    case DType::f8e4m3: break;
  }
}

// The same with the types of weights.
template <class Function>
inline void with_weight_source(DType type, Function&& function) {
  if (type == DType::f8e4m3) function(E4m3Source{});
  else with_source(type, function);
}

template <class Source>
void widen_row(float* out, const typename Source::Element* in, size_t n) {
  size_t i = 0;
  for (; i + Vec::lanes <= n; i += Vec::lanes) Vec::store(out + i, Source::load(in + i));
  if (i < n) Vec::store_partial(out + i, Source::load_partial(in + i, n - i), n - i);
}

void f32_to_bf16_row(uint16_t* out, const float* in, size_t n) {
  for_each_vector(n, [=](size_t i, size_t count) __attribute__((always_inline)) {
    Vec::store_low_halves(out + i, bf16_bits(load_some(in + i, count)), count);
  });
}

void f32_to_f16_row(uint16_t* out, const float* in, size_t n) {
  for_each_vector(n, [=](size_t i, size_t count) __attribute__((always_inline)) {
    Vec::store_f16(out + i, load_some(in + i, count), count);
  });
}

}  // namespace
}  // namespace weft::cpu
