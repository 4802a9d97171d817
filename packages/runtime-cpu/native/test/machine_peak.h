// What the machine can do at best, measured in the same run as the kernels: read bandwidth and multiply-add rate.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace weft::cpu::bench {

// Reads `bytes` (a multiple of 64) forward; the result only keeps the loads alive.
inline uint64_t read_forward(const char* p, size_t bytes) {
  typedef uint64_t V __attribute__((vector_size(16)));
  V a{}, b{}, c{}, d{};
  for (size_t i = 0; i + 64 <= bytes; i += 64) {
    V v[4];
    std::memcpy(v, p + i, 64);
    a ^= v[0], b ^= v[1], c ^= v[2], d ^= v[3];
  }
  a ^= b ^ c ^ d;
  return a[0] ^ a[1];
}

// Forward, fetching 2 KB ahead.
inline uint64_t read_prefetched(const char* p, size_t bytes) {
  uint64_t sum = 0;
  for (size_t i = 0; i + 4096 <= bytes; i += 64) {
    __builtin_prefetch(p + i + 2048, 0, 3);
    sum ^= read_forward(p + i, 64);
  }
  return sum;
}

// Four adjacent rows of 4096 bytes side by side, as a matrix-vector product walks.
inline uint64_t read_four_rows(const char* p, size_t bytes) {
  typedef uint64_t V __attribute__((vector_size(16)));
  V sum[4] = {};
  for (size_t base = 0; base + 4 * 4096 <= bytes; base += 4 * 4096)
    for (size_t i = 0; i < 4096; i += 64)
      for (size_t r = 0; r < 4; ++r) {
        V v[4];
        std::memcpy(v, p + base + r * 4096 + i, 64);
        sum[r] ^= v[0] ^ v[1] ^ v[2] ^ v[3];
      }
  sum[0] ^= sum[1] ^ sum[2] ^ sum[3];
  return sum[0][0] ^ sum[0][1];
}

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

}  // namespace weft::cpu::bench
