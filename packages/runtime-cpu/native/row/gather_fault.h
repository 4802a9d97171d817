// A gather index that names no row, noted during a run and reported when the run ends.
#pragma once

#include <atomic>
#include <cstdint>

namespace weft::cpu {

struct GatherFault {
  std::atomic<bool> is_set{false};
  int step = 0;
  float index = 0;
  int64_t bound = 0;

  void clear() { is_set.store(false, std::memory_order_relaxed); }
  void report(int at_step, float bad_index, int64_t row_count) noexcept {
    if (is_set.exchange(true, std::memory_order_relaxed)) return;
    step = at_step;
    index = bad_index;
    bound = row_count;
  }
};

}  // namespace weft::cpu
