// What the tests share: counting, random numbers, guarded buffers, bf16 and f16 by slow definition.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "formats/nvfp4.h"
#include "kernels.h"

namespace weft::cpu::test {

struct Counts {
  long passed = 0, failed = 0;
};
inline Counts counts;

// Counts one check; the first failures are printed.
template <class... Values>
bool check(bool good, const char* format, Values... values) {
  if (good) {
    ++counts.passed;
    return true;
  }
  if (++counts.failed <= 40) {
    std::printf("FAILED ");
    if constexpr (sizeof...(Values) == 0) std::fputs(format, stdout);
    else std::printf(format, values...);
    std::printf("\n");
  }
  return false;
}

// SplitMix64: the same numbers on every machine.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t bits() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  size_t below(size_t n) { return static_cast<size_t>(bits() % n); }
  float uniform(float low, float high) {
    return low + (high - low) * static_cast<float>(static_cast<double>(bits() >> 11) * 0x1p-53);
  }

 private:
  uint64_t state_;
};

inline uint32_t bits_of(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}
inline float float_of(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}
inline bool same_bits(float a, float b) { return bits_of(a) == bits_of(b) || (a != a && b != b); }

inline float from_bf16(uint16_t h) { return float_of(static_cast<uint32_t>(h) << 16); }
inline uint16_t to_bf16(float x) {
  const uint32_t bits = bits_of(x);
  if (x != x) return static_cast<uint16_t>((bits >> 16) | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}
inline float from_f16(uint16_t h) {
  const int exponent = (h >> 10) & 31, fraction = h & 1023;
  const float sign = (h & 0x8000) ? -1.0f : 1.0f;
  if (exponent == 31) return fraction ? std::numeric_limits<float>::quiet_NaN() : sign * std::numeric_limits<float>::infinity();
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(fraction), -24);
  return sign * std::ldexp(static_cast<float>(1024 + fraction), exponent - 25);
}

// n elements at any offset from alignment, between guard elements whose change is a failure.
template <class T>
class Buffer {
 public:
  explicit Buffer(size_t n, size_t offset = 0) : n_(n), before_(16 + offset), all_(before_ + n + 32) {
    std::memset(all_.data(), 0x5a, all_.size() * sizeof(T));
  }
  ~Buffer() {
    bool intact = true;
    T guard;
    std::memset(&guard, 0x5a, sizeof guard);
    for (size_t i = 0; i < all_.size(); ++i)
      if (i < before_ || i >= before_ + n_) intact = intact && std::memcmp(&all_[i], &guard, sizeof guard) == 0;
    check(intact, "wrote outside of a buffer of %zu elements", n_);
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  T* data() { return all_.data() + before_; }
  T& operator[](size_t i) { return all_[before_ + i]; }
  size_t size() const { return n_; }

 private:
  size_t n_, before_;
  std::vector<T> all_;
};

// Scratch of exactly so many bytes, 64-byte aligned, between guards.
class Scratch {
 public:
  explicit Scratch(size_t bytes) : bytes_(bytes), all_(bytes + 256, 0x5a) {
    const auto address = reinterpret_cast<uintptr_t>(all_.data());
    first_ = (64 - address % 64) % 64 + 64;
  }
  ~Scratch() {
    bool intact = true;
    for (size_t i = 0; i < all_.size(); ++i)
      if (i < first_ || i >= first_ + bytes_) intact = intact && all_[i] == 0x5a;
    check(intact, "wrote outside of a scratch of %zu bytes", bytes_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  void* data() { return all_.data() + first_; }

 private:
  size_t bytes_, first_;
  std::vector<unsigned char> all_;
};

// A matrix in some storage type, with the exact values it holds.
class Stored {
 public:
  Stored(DType type, size_t n, size_t offset, Random& random, float range = 1.0f)
      : type_(type), values_(n), f32_(type == DType::f32 ? n : 0, offset), halves_(element_bytes(type) == 2 ? n : 0, offset),
        codes_(element_bytes(type) == 1 ? n : 0, offset) {
    for (size_t i = 0; i < n; ++i) set(i, random.uniform(-range, range));
  }
  void set(size_t i, float x) {
    switch (type_) {
      case DType::f32: values_[i] = f32_[i] = x; break;
      case DType::bf16: values_[i] = from_bf16(halves_[i] = to_bf16(x)); break;
      case DType::f16:  // any pattern of a modest number will do
        halves_[i] = static_cast<uint16_t>((bits_of(x) >> 16 & 0x8000u) | (bits_of(x * 0x1p-112f) >> 13 & 0x7fffu));
        values_[i] = from_f16(halves_[i]);
        break;
      case DType::f8e4m3:
        codes_[i] = encode_e4m3(x);
        values_[i] = decode_e4m3(codes_[i]);
        break;
    }
  }
  double value(size_t i) const { return values_[i]; }
  DType type() const { return type_; }
  void* data() {
    if (type_ == DType::f32) return f32_.data();
    return type_ == DType::f8e4m3 ? static_cast<void*>(codes_.data()) : static_cast<void*>(halves_.data());
  }
  void* at(size_t i) { return static_cast<char*>(data()) + i * element_bytes(type_); }

 private:
  DType type_;
  std::vector<float> values_;
  Buffer<float> f32_;
  Buffer<uint16_t> halves_;
  Buffer<uint8_t> codes_;
};

// The 16 bits of an element, by the definition of Philox4x32-10.
inline uint32_t random_half(uint64_t place, const RandomStream& from) {
  uint32_t c[4] = {static_cast<uint32_t>(place >> 3), static_cast<uint32_t>(place >> 35), from.stream, 0};
  uint32_t k[2] = {from.key_low, from.key_high};
  for (int round = 0; round < 10; ++round, k[0] += 0x9e3779b9, k[1] += 0xbb67ae85) {
    const uint64_t first = uint64_t{c[0]} * 0xd2511f53, second = uint64_t{c[2]} * 0xcd9e8d57;
    const uint32_t next[4] = {static_cast<uint32_t>(second >> 32) ^ c[1] ^ k[0], static_cast<uint32_t>(second),
                              static_cast<uint32_t>(first >> 32) ^ c[3] ^ k[1], static_cast<uint32_t>(first)};
    for (int i = 0; i < 4; ++i) c[i] = next[i];
  }
  return c[place % 8 / 2] >> (16 * (place % 2)) & 0xffff;
}

inline const char* name_of(DType type) {
  constexpr const char* names[] = {"f32", "bf16", "f16", "f8e4m3"};
  return names[static_cast<size_t>(type)];
}

// Whether a table's products of bf16 with bf16, FP8 and NVFP4 are those of tiles.
inline bool multiplies_by_tiles(const KernelTable& kernels) { return std::strncmp(kernels.name, "amx", 3) == 0; }

void test_rows(const KernelTable& kernels);
void test_conversions(const KernelTable& kernels);
void test_matmul(const KernelTable& kernels);
void test_attention(const KernelTable& kernels);
void test_nvfp4_definition();
void test_nvfp4(const KernelTable& kernels);
void test_e4m3(const KernelTable& kernels);
void test_nvfp4_products(const KernelTable& kernels);
void test_tiles(const KernelTable& kernels);
void test_threads();

}  // namespace weft::cpu::test
