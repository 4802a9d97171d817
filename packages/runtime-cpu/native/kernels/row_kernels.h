// Elementwise functions over contiguous rows.
#pragma once

namespace weft::cpu {
namespace {

// Calls step(i, n) for whole vectors and then once for the rest: n is `lanes` for the whole ones.
// The bodies below choose load or load_partial by it, so every element sees the same vector operation.
inline Vec::F32 load_some(const float* p, size_t n) { return n == Vec::lanes ? Vec::load(p) : Vec::load_partial(p, n); }
inline void store_some(float* p, Vec::F32 v, size_t n) {
  if (n == Vec::lanes) Vec::store(p, v);
  else Vec::store_partial(p, v, n);
}

template <class Step>
inline __attribute__((always_inline)) void for_each_vector(size_t n, Step step) {
  size_t i = 0;
  for (; i + 4 * Vec::lanes <= n; i += 4 * Vec::lanes) {
    step(i, Vec::lanes);
    step(i + Vec::lanes, Vec::lanes);
    step(i + 2 * Vec::lanes, Vec::lanes);
    step(i + 3 * Vec::lanes, Vec::lanes);
  }
  for (; i + Vec::lanes <= n; i += Vec::lanes) step(i, Vec::lanes);
  if (i < n) step(i, n - i);
}

template <Vec::F32 (*function)(Vec::F32)>
void unary_row(float* out, const float* a, size_t n) {
  for_each_vector(n, [=](size_t i, size_t count) __attribute__((always_inline)) {
    store_some(out + i, function(load_some(a + i, count)), count);
  });
}

template <float (*function)(float)>
void unary_row_scalar(float* out, const float* a, size_t n) {
  for (size_t i = 0; i < n; ++i) out[i] = function(a[i]);
}

template <Vec::F32 (*function)(Vec::F32, Vec::F32)>
struct BinaryRow {
  static void vectors(float* out, const float* a, const float* b, size_t n) {
    for_each_vector(n, [=](size_t i, size_t count) __attribute__((always_inline)) {
      store_some(out + i, function(load_some(a + i, count), load_some(b + i, count)), count);
    });
  }
  static void vector_scalar(float* out, const float* a, float b, size_t n) {
    const Vec::F32 second = Vec::set(b);
    for_each_vector(n, [=](size_t i, size_t count) __attribute__((always_inline)) {
      store_some(out + i, function(load_some(a + i, count), second), count);
    });
  }
  static void scalar_vector(float* out, float a, const float* b, size_t n) {
    const Vec::F32 first = Vec::set(a);
    for_each_vector(n, [=](size_t i, size_t count) __attribute__((always_inline)) {
      store_some(out + i, function(first, load_some(b + i, count)), count);
    });
  }
};

struct PowerRow {
  static void vectors(float* out, const float* a, const float* b, size_t n) {
    for (size_t i = 0; i < n; ++i) out[i] = ::powf(a[i], b[i]);
  }
  static void vector_scalar(float* out, const float* a, float b, size_t n) {
    for (size_t i = 0; i < n; ++i) out[i] = ::powf(a[i], b);
  }
  static void scalar_vector(float* out, float a, const float* b, size_t n) {
    for (size_t i = 0; i < n; ++i) out[i] = ::powf(a, b[i]);
  }
};

inline Vec::F32 square_root(Vec::F32 x) { return Vec::sqrt(x); }
inline Vec::F32 reciprocal(Vec::F32 x) { return Vec::div(Vec::set(1.0f), x); }
inline Vec::F32 reciprocal_square_root(Vec::F32 x) { return Vec::div(Vec::set(1.0f), Vec::sqrt(x)); }
inline Vec::F32 square(Vec::F32 x) { return Vec::mul(x, x); }
inline Vec::F32 floor(Vec::F32 x) { return Vec::floor(x); }
inline Vec::F32 zero_or_one(Vec::Mask mask) { return Vec::choose(mask, Vec::set(1.0f), Vec::zero()); }
inline Vec::F32 logical_not(Vec::F32 x) { return zero_or_one(Vec::equal(x, Vec::zero())); }
inline float sine(float x) { return ::sinf(x); }
inline float cosine(float x) { return ::cosf(x); }

inline Vec::F32 add(Vec::F32 a, Vec::F32 b) { return Vec::add(a, b); }
inline Vec::F32 subtract(Vec::F32 a, Vec::F32 b) { return Vec::sub(a, b); }
inline Vec::F32 multiply(Vec::F32 a, Vec::F32 b) { return Vec::mul(a, b); }
inline Vec::F32 divide(Vec::F32 a, Vec::F32 b) { return Vec::div(a, b); }
inline Vec::F32 less(Vec::F32 a, Vec::F32 b) { return zero_or_one(Vec::less(a, b)); }
inline Vec::F32 less_equal(Vec::F32 a, Vec::F32 b) { return zero_or_one(Vec::less_equal(a, b)); }
inline Vec::F32 equal(Vec::F32 a, Vec::F32 b) { return zero_or_one(Vec::equal(a, b)); }

void select_row(float* out, const float* mask, const float* a, const float* b, size_t n) {
  for_each_vector(n, [=](size_t i, size_t count) __attribute__((always_inline)) {
    const Vec::Mask is_zero = Vec::equal(load_some(mask + i, count), Vec::zero());
    store_some(out + i, Vec::choose(is_zero, load_some(b + i, count), load_some(a + i, count)), count);
  });
}

void multiply_add_row(float* out, const float* a, const float* b, const float* c, size_t n) {
  for_each_vector(n, [=](size_t i, size_t count) __attribute__((always_inline)) {
    const Vec::F32 sum = Vec::multiply_add(load_some(a + i, count), load_some(b + i, count), load_some(c + i, count));
    store_some(out + i, sum, count);
  });
}

void multiply_add_scalar_row(float* out, const float* a, float b, const float* c, size_t n) {
  const Vec::F32 factor = Vec::set(b);
  for_each_vector(n, [=](size_t i, size_t count) __attribute__((always_inline)) {
    store_some(out + i, Vec::multiply_add(load_some(a + i, count), factor, load_some(c + i, count)), count);
  });
}

void copy_row(float* out, const float* a, size_t n) {
  if (n > 0) memmove(out, a, n * sizeof(float));
}

void fill_row(float* out, float value, size_t n) {
  const Vec::F32 v = Vec::set(value);
  for_each_vector(n, [=](size_t i, size_t count) __attribute__((always_inline)) { store_some(out + i, v, count); });
}

}  // namespace
}  // namespace weft::cpu
