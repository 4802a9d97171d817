// Places in kernel source, by small numbers that outlive the module that they lie in.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "../../../sim/table.h"

namespace weft::cuda::sim {

class Places {
 public:
  // 0 stands for a place outside of kernels, and for those past the last number.
  static constexpr uint32_t none = 0, most = (1u << 16) - 1;

  uint32_t of(const weft_sim::Place* place) {
    Cached& cached = recent_[(reinterpret_cast<uintptr_t>(place) >> 3) % recent_count];
    if (cached.place != place) cached = {place, slow(place)};
    return cached.number;
  }
  // "block_sum.cu:12".
  std::string text(uint32_t number) const;
  // Addresses of places may mean others from now on: a module was unloaded.
  void forget();

 private:
  struct Cached {
    const weft_sim::Place* place = nullptr;
    uint32_t number = 0;
  };
  static constexpr size_t recent_count = 1024;

  uint32_t slow(const weft_sim::Place* place);

  Cached recent_[recent_count];
  std::unordered_map<const weft_sim::Place*, uint32_t> by_address_;
  std::unordered_map<std::string, uint32_t> by_text_;
  std::vector<std::string> texts_;
};

}  // namespace weft::cuda::sim
