// The allocations of a simulated device. Each has its own mapping with inaccessible memory after it, so that even what
// goes past the checks does not reach a neighbour.
#pragma once

#include <map>
#include <memory>

#include "../driver.h"
#include "buffer.h"

namespace weft::cuda::sim {

class DeviceMemory {
 public:
  explicit DeviceMemory(size_t total) : total_(total) {}
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;
  ~DeviceMemory();

  Status allocate(DevicePointer& pointer, size_t bytes);
  Status free(DevicePointer pointer);
  // The allocation that holds the whole range; null if none does.
  MemoryBuffer* find(DevicePointer pointer, size_t bytes);
  size_t total() const { return total_; }
  size_t used() const { return used_; }

 private:
  struct Allocation {
    std::unique_ptr<MemoryBuffer> buffer;
    size_t mapped;
  };
  std::map<DevicePointer, Allocation> allocations_;
  MemoryBuffer* last_found_ = nullptr;
  size_t total_, used_ = 0;
};

}  // namespace weft::cuda::sim
