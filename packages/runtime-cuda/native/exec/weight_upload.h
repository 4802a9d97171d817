// Weights to the device: from the mapped file, or the caller's memory, through a ring of page-locked buffers, so that
// reading, converting and copying overlap.
#pragma once

#include <atomic>
#include <functional>
#include <vector>

#include "exec/layout.h"
#include "exec/owned.h"
#include "weights/weight_origin.h"

namespace weft::cuda {

using Progress = std::function<void(size_t done, size_t total)>;

class WeightUpload {
 public:
  // Copies what lies in the caller's memory: it is the caller's again afterwards.
  WeightUpload(std::vector<WeightOrigin> origins, bool check_finite);

  // Throws Error when a file is unreadable or too short, when values are not finite (all tensors named), or on a
  // failure of the device. Ends early, without an error, when `stop` is set.
  void execute(Gpu& gpu, const DeviceMemory& weights, const Layout& layout, const Progress& progress,
               const std::atomic<bool>& stop);

 private:
  std::vector<WeightOrigin> origins_;
  std::vector<std::unique_ptr<char[]>> copies_;  // by origin, where the caller gave data
  bool check_finite_;
};

}  // namespace weft::cuda
