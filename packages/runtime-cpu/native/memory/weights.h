// Weights bound to the buffers of a plan: mapped from their file without a copy where the dtype matches, else converted
// into an arena of their own.
#pragma once

#include <atomic>
#include <vector>

#include "arena.h"
#include "kernels.h"
#include "thread_pool.h"
#include "weights/weight_origin.h"

namespace weft::cpu {

// Mapped as it lies in the file: same dtype, aligned to its element.
bool is_mapped(const WeightOrigin& origin);

struct WeightSizes {
  size_t mapped = 0;
  size_t copied = 0;
};
WeightSizes weight_sizes(const std::vector<WeightOrigin>& origins);

class Weights {
 public:
  // Allocates, and converts what lies in the caller's memory (called where that memory cannot change).
  explicit Weights(std::vector<WeightOrigin> origins, const KernelTable& kernels);

  // Maps the files, converts what needs it and looks for values that are not finite, by all threads of the pool.
  // Throws Error when a file is too short or unreadable, or names every tensor that is not finite.
  void load(ThreadPool& pool, const KernelTable& kernels, bool check_finite, const std::atomic<bool>& stop);

  // The first byte of a buffer's values; nullptr for buffers that are no weights.
  const char* data(size_t buffer_index) const;
  WeightSizes sizes() const { return {mapped_bytes_, copies_.bytes()}; }

 private:
  void load_blocks(const WeightOrigin& origin, const char* codes, ThreadPool& pool, const std::atomic<bool>& stop);

  std::vector<WeightOrigin> origins_;
  std::vector<const char*> places_;
  Arena copies_;
  WeightFiles files_;
  size_t mapped_bytes_ = 0;
};

}  // namespace weft::cpu
