// Weights bound to the buffers of a plan: mapped from their file without a copy where the dtype matches, else converted
// into an arena of their own.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "arena.h"
#include "kernels.h"
#include "mapped_file.h"
#include "plan_generated.h"
#include "thread_pool.h"

namespace weft::cpu {

// Where the values of one weights buffer come from. `data` (from the caller's memory) or `path`, `offset`, `bytes`.
struct WeightOrigin {
  const plan::PlanBuffer* buffer = nullptr;
  size_t buffer_index = 0;
  plan::PlanDtype dtype{};
  const char* data = nullptr;
  std::string path;
  size_t offset = 0;

  size_t elements() const;
  // Mapped as it lies in the file: same dtype, aligned to its element.
  bool is_mapped() const;
};

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
  std::vector<WeightOrigin> origins_;
  std::vector<const char*> places_;
  Arena copies_;
  std::map<std::string, std::unique_ptr<MappedFile>> files_;
  size_t mapped_bytes_ = 0;
};

}  // namespace weft::cpu
