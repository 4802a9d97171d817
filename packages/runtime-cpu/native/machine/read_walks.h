// Ways to read memory at full speed. Which one is fastest differs by machine and by moment, so the best is taken: walks
// over several rows at once, as a matrix-vector product does, keep more lines in flight than a plain forward one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace weft::cpu {

// Reads `bytes`, a multiple of rows * row_bytes, `rows` adjacent rows side by side; the result keeps the loads alive.
template <size_t rows, size_t row_bytes, class Vector>
[[gnu::always_inline]] inline uint64_t walk_rows(const char* p, size_t bytes) {
  constexpr size_t sums = 8, width = sizeof(Vector), per_row = sums / rows;
  static_assert(row_bytes % (per_row * width) == 0);
  Vector sum[sums] = {};
  for (size_t base = 0; base + rows * row_bytes <= bytes; base += rows * row_bytes)
    for (size_t at = 0; at < row_bytes; at += per_row * width)
      for (size_t r = 0; r < rows; ++r)
        for (size_t k = 0; k < per_row; ++k) {
          Vector value;
          std::memcpy(&value, p + base + r * row_bytes + at + k * width, width);
          sum[r * per_row + k] ^= value;
        }
  for (size_t i = 1; i < sums; ++i) sum[0] ^= sum[i];
  uint64_t result = 0;
  for (size_t i = 0; i < width / 8; ++i) result ^= sum[0][i];
  return result;
}

struct Walk {
  const char* name;
  uint64_t (*read)(const char*, size_t);
};
constexpr size_t walk_count = 5;
// A multiple of every walk's block of rows; threads take turns over slices of this size.
constexpr size_t slice_bytes = size_t{4} * 8 * 12288;

#define WEFT_WALK(name, rows, row_bytes, target, vector_bytes)                 \
  target inline uint64_t name(const char* p, size_t bytes) {                   \
    typedef uint64_t Vector __attribute__((vector_size(vector_bytes)));        \
    return walk_rows<rows, row_bytes, Vector>(p, bytes);                       \
  }
#define WEFT_WALKS(set, target, vector_bytes)                                  \
  WEFT_WALK(forward_##set, 1, 4096, target, vector_bytes)                      \
  WEFT_WALK(two_rows_##set, 2, 4096, target, vector_bytes)                     \
  WEFT_WALK(four_rows_##set, 4, 4096, target, vector_bytes)                    \
  WEFT_WALK(eight_rows_##set, 8, 4096, target, vector_bytes)                   \
  WEFT_WALK(four_long_rows_##set, 4, 12288, target, vector_bytes)              \
  constexpr Walk walks_##set[walk_count] = {{"forward", forward_##set},        \
                                            {"2 rows", two_rows_##set},        \
                                            {"4 rows", four_rows_##set},       \
                                            {"8 rows", eight_rows_##set},      \
                                            {"4 long rows", four_long_rows_##set}};

WEFT_WALKS(portable, , 16)
#if defined(__x86_64__)
WEFT_WALKS(avx2, __attribute__((target("avx2"))), 32)
WEFT_WALKS(avx512, __attribute__((target("avx512f"))), 64)
#endif

// Those with the widest vectors of this machine.
inline const Walk* best_walks() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return walks_avx512;
  if (__builtin_cpu_supports("avx2")) return walks_avx2;
#endif
  return walks_portable;
}

}  // namespace weft::cpu
