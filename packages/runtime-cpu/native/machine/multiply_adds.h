// Multiply-adds with nothing to wait for: the most arithmetic that a processor does in f32.
#pragma once

#include <cstddef>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace weft::cpu {

// Runs `steps` steps of independent multiply-adds of a table's vectors; returns the number of f32 operations done.
// `lanes` 16 and 8 are AVX-512 and AVX2; anything else is the compiler's generic vector of four.
#if defined(__x86_64__)
__attribute__((target("avx512f"))) inline double multiply_adds_16(long steps) {
  __m512 sum[12];
  for (int i = 0; i < 12; ++i) sum[i] = _mm512_set1_ps(static_cast<float>(i));
  __m512 x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(1e-3f);
  for (long k = 0; k < steps; ++k) {
#pragma GCC unroll 12
    for (int i = 0; i < 12; ++i) sum[i] = _mm512_fmadd_ps(sum[i], x, y);
    asm volatile("" : "+v"(x), "+v"(y));
  }
  for (int i = 1; i < 12; ++i) sum[0] = _mm512_add_ps(sum[0], sum[i]);
  asm volatile("" ::"v"(sum[0]));
  return static_cast<double>(steps) * 12 * 16 * 2;
}
__attribute__((target("avx2,fma"))) inline double multiply_adds_8(long steps) {
  __m256 sum[12];
  for (int i = 0; i < 12; ++i) sum[i] = _mm256_set1_ps(static_cast<float>(i));
  __m256 x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(1e-3f);
  for (long k = 0; k < steps; ++k) {
#pragma GCC unroll 12
    for (int i = 0; i < 12; ++i) sum[i] = _mm256_fmadd_ps(sum[i], x, y);
    asm volatile("" : "+x"(x), "+x"(y));
  }
  for (int i = 1; i < 12; ++i) sum[0] = _mm256_add_ps(sum[0], sum[i]);
  asm volatile("" ::"x"(sum[0]));
  return static_cast<double>(steps) * 12 * 8 * 2;
}
#endif
inline double multiply_adds_4(long steps) {
  typedef float V __attribute__((vector_size(16)));
  V sum[12] = {};
  V x = {0.999f, 0.999f, 0.999f, 0.999f}, y = {1e-3f, 1e-3f, 1e-3f, 1e-3f};
  for (long k = 0; k < steps; ++k) {
#pragma GCC unroll 12
    for (int i = 0; i < 12; ++i) sum[i] = sum[i] * x + y;
#if defined(__x86_64__)
    asm volatile("" : "+x"(x), "+x"(y));
#elif defined(__aarch64__)
    asm volatile("" : "+w"(x), "+w"(y));
#endif
  }
  volatile float keep = 0;
  for (int i = 0; i < 12; ++i) keep = keep + sum[i][0];
  return static_cast<double>(steps) * 12 * 4 * 2;
}
inline double multiply_adds(size_t lanes, long steps) {
#if defined(__x86_64__)
  if (lanes == 16) return multiply_adds_16(steps);
  if (lanes == 8) return multiply_adds_8(steps);
#endif
  (void)lanes;
  return multiply_adds_4(steps);
}

}  // namespace weft::cpu
