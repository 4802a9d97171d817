// What the runtime asks of a GPU driver, one method for each driver call it makes. Three implementations: the real one
// over libcuda (opened at run time), the simulator, and one that records calls and computes nothing. The runtime above
// is the same for all of them.
//
// Methods give a CUresult, 0 for success; nothing throws. All calls of one device come from one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "matmul_library.h"

namespace weft::cuda {

using Status = int;
inline constexpr Status success = 0;
// CUDA_ERROR_NOT_READY, what `query_event` gives while work is under way.
inline constexpr Status not_ready = 600;

using DevicePointer = uint64_t;
// Opaque to the runtime; 0 is none.
using Stream = uint64_t;
using Event = uint64_t;
using Module = uint64_t;
using Function = uint64_t;
using Graph = uint64_t;

struct DeviceFacts {
  std::string name;
  // 9.0 as 90.
  int compute_capability = 0;
  int multiprocessors = 0;
  size_t shared_bytes_per_block = 0;
  size_t total_bytes = 0;
  size_t free_bytes = 0;
  // 13.0 as 13000; of the driver, not of a toolkit.
  int driver_version = 0;
};

// 13000 as "13.0".
inline std::string version_text(int version) { return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10); }

struct Launch {
  Function function = 0;
  uint32_t blocks = 0;
  uint32_t threads = 0;
  uint32_t shared_bytes = 0;
  Stream stream = 0;
  // `Args<n>` of packages/compiler/cuda/types.cuh.
  const void* args = nullptr;
  size_t args_bytes = 0;
  // May start before the launch in front of it has ended (programmatic dependent launch): sm_90 and later, and a driver
  // that can also capture it, from CUDA 12.3 on.
  bool overlaps_previous = false;
  // Kernel, step and origin paths, for messages of the simulator and the recorder.
  const char* label = "";
};

class Driver {
 public:
  virtual ~Driver() = default;

  // "CUDA_ERROR_OUT_OF_MEMORY (out of memory)".
  virtual std::string explain(Status status) = 0;
  // More about the last failure, where the implementation knows more; empty otherwise.
  virtual std::string details() { return {}; }
  virtual Status facts(DeviceFacts& facts) = 0;

  // Memory of the device is aligned to 256 bytes.
  virtual Status allocate(DevicePointer& pointer, size_t bytes) = 0;
  virtual Status free(DevicePointer pointer) = 0;
  // Page-locked memory of the host.
  virtual Status allocate_host(void*& pointer, size_t bytes) = 0;
  virtual Status free_host(void* pointer) = 0;

  virtual Status copy_to_device(DevicePointer to, const void* from, size_t bytes, Stream stream) = 0;
  virtual Status copy_to_host(void* to, DevicePointer from, size_t bytes, Stream stream) = 0;
  virtual Status copy_on_device(DevicePointer to, DevicePointer from, size_t bytes, Stream stream) = 0;
  virtual Status fill(DevicePointer pointer, uint8_t value, size_t bytes, Stream stream) = 0;

  virtual Status create_stream(Stream& stream) = 0;
  virtual Status destroy_stream(Stream stream) = 0;
  virtual Status create_event(Event& event) = 0;
  virtual Status destroy_event(Event event) = 0;
  virtual Status record_event(Event event, Stream stream) = 0;
  virtual Status query_event(Event event) = 0;
  // The stream goes on only after the event.
  virtual Status wait_event(Stream stream, Event event) = 0;
  virtual Status elapsed(float& milliseconds, Event from, Event to) = 0;

  // An image: a cubin, or what the simulator's compiler made.
  virtual Status load_module(Module& module, const void* image, size_t bytes) = 0;
  virtual Status unload_module(Module module) = 0;
  virtual Status get_function(Function& function, Module module, const char* name) = 0;
  // Allows a launch this much dynamic shared memory.
  virtual Status allow_shared_bytes(Function function, size_t bytes) = 0;
  virtual Status launch(const Launch& launch) = 0;

  // Between the two, what is put on the stream is recorded instead of executed.
  virtual Status begin_capture(Stream stream) = 0;
  virtual Status end_capture(Stream stream, Graph& graph) = 0;
  virtual Status launch_graph(Graph graph, Stream stream) = 0;
  virtual Status destroy_graph(Graph graph) = 0;

  // A library that multiplies matrices on this device, which must outlive it; none, and why, where there is none.
  virtual std::unique_ptr<MatmulLibrary> open_matmul_library(std::string& why) = 0;
};

}  // namespace weft::cuda
