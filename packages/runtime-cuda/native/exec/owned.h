// What belongs to a device and is given back: memory, events, modules, graphs.
#pragma once

#include <string>
#include <utility>

#include "exec/gpu.h"

namespace weft::cuda {

// A driver's object with the method that ends it. The device must live longer.
template <class Value, Status (Driver::*end)(Value)>
class Owned {
 public:
  Owned() = default;
  Owned(Gpu& gpu, Value value) : gpu_(&gpu), value_(value) {}
  Owned(Owned&& other) noexcept : gpu_(std::exchange(other.gpu_, nullptr)), value_(std::exchange(other.value_, Value{})) {}
  Owned& operator=(Owned&& other) noexcept {
    std::swap(gpu_, other.gpu_);
    std::swap(value_, other.value_);
    return *this;
  }
  ~Owned() {
    // A failure has been told before, or will be by the next call: what is lost cannot be freed.
    if (gpu_ && gpu_->can_free()) (gpu_->driver().*end)(value_);
  }
  Value get() const { return value_; }

 private:
  Gpu* gpu_ = nullptr;
  Value value_{};
};

using OwnedEvent = Owned<Event, &Driver::destroy_event>;
using OwnedModule = Owned<Module, &Driver::unload_module>;
using OwnedGraph = Owned<Graph, &Driver::destroy_graph>;

// Memory of one class on the device; nothing for no bytes.
class DeviceMemory {
 public:
  DeviceMemory() = default;
  DeviceMemory(Gpu& gpu, size_t bytes, const char* what) : bytes_(bytes) {
    if (bytes == 0) return;
    DevicePointer pointer = 0;
    gpu.check(gpu.driver().allocate(pointer, bytes), "cuMemAlloc",
              [&] { return std::to_string(bytes) + " bytes for " + what; });
    memory_ = {gpu, pointer};
  }
  DevicePointer at(size_t offset) const { return memory_.get() + offset; }
  size_t bytes() const { return bytes_; }

 private:
  Owned<DevicePointer, &Driver::free> memory_;
  size_t bytes_ = 0;
};

// Page-locked memory of the host.
class PinnedMemory {
 public:
  PinnedMemory() = default;
  PinnedMemory(Gpu& gpu, size_t bytes, const char* what) : bytes_(bytes) {
    if (bytes == 0) return;
    void* pointer = nullptr;
    gpu.check(gpu.driver().allocate_host(pointer, bytes), "cuMemHostAlloc",
              [&] { return std::to_string(bytes) + " page-locked bytes for " + what; });
    memory_ = {gpu, pointer};
  }
  char* at(size_t offset) const { return static_cast<char*>(memory_.get()) + offset; }
  size_t bytes() const { return bytes_; }

 private:
  Owned<void*, &Driver::free_host> memory_;
  size_t bytes_ = 0;
};

inline OwnedEvent make_event(Gpu& gpu) {
  Event event = 0;
  gpu.check(gpu.driver().create_event(event), "cuEventCreate", [] { return std::string("preparing a wait"); });
  return {gpu, event};
}

}  // namespace weft::cuda
