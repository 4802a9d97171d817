// SplitMix64: the same numbers on every machine.
#pragma once

#include <cstdint>

namespace weft::cuda::sim {

class Random {
 public:
  explicit Random(uint64_t seed = 0) : state_(seed) {}
  uint64_t bits() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  // Below `n`, up to 2^32. Multiplying is cheaper than a remainder.
  uint32_t below(uint32_t n) { return static_cast<uint32_t>((bits() >> 32) * n >> 32); }
  bool coin() { return (bits() >> 63) != 0; }

 private:
  uint64_t state_;
};

}  // namespace weft::cuda::sim
