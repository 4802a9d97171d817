// A driver that executes nothing and writes down every call: what the host asks of a GPU, tested without one. It
// notices what a GPU would not forgive: memory outside of allocations, handles that were given back, work on a stream
// in the wrong state. It fails on demand.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "driver/driver.h"

namespace weft::cuda {

struct RecordedCall {
  std::string name;
  std::string text;  // label of a launch, name of a function
  std::vector<std::pair<const char*, uint64_t>> numbers;
  std::vector<uint64_t> words;  // the argument of a launch; the matrices of a product
  bool is_captured = false;
};

// Calls `at`, `at + 1`, ... of that name (from 1), `times` of them, give `status` and do nothing.
struct Fault {
  std::string call;
  uint64_t at = 1;
  uint64_t times = 1;
  Status status = 0;
};

struct RecordingOptions {
  DeviceFacts facts;
  std::vector<Fault> faults;
};

// What was called; outlives the driver.
class Recording {
 public:
  std::vector<RecordedCall> take();
  // Objects that were made and not given back, by kind.
  std::map<std::string, uint64_t> live() const;

 private:
  friend class RecordingDriver;
  mutable std::mutex mutex_;  // the driver is on another thread than who reads
  std::vector<RecordedCall> calls_;
  std::map<std::string, std::map<uint64_t, size_t>> live_;  // by kind: handle or address, and bytes
};

class RecordingDriver final : public Driver {
 public:
  RecordingDriver(RecordingOptions options, std::shared_ptr<Recording> recording);

  std::string explain(Status status) override;
  std::string details() override { return details_; }
  Status facts(DeviceFacts& facts) override;
  Status allocate(DevicePointer& pointer, size_t bytes) override;
  Status free(DevicePointer pointer) override;
  Status allocate_host(void*& pointer, size_t bytes) override;
  Status free_host(void* pointer) override;
  Status copy_to_device(DevicePointer to, const void* from, size_t bytes, Stream stream) override;
  Status copy_to_host(void* to, DevicePointer from, size_t bytes, Stream stream) override;
  Status copy_on_device(DevicePointer to, DevicePointer from, size_t bytes, Stream stream) override;
  Status fill(DevicePointer pointer, uint8_t value, size_t bytes, Stream stream) override;
  Status create_stream(Stream& stream) override;
  Status destroy_stream(Stream stream) override;
  Status create_event(Event& event) override;
  Status destroy_event(Event event) override;
  Status record_event(Event event, Stream stream) override;
  Status query_event(Event event) override;
  Status wait_event(Stream stream, Event event) override;
  Status elapsed(float& milliseconds, Event from, Event to) override;
  Status load_module(Module& module, const void* image, size_t bytes) override;
  Status unload_module(Module module) override;
  Status get_function(Function& function, Module module, const char* name) override;
  Status allow_shared_bytes(Function function, size_t bytes) override;
  Status launch(const Launch& launch) override;
  Status begin_capture(Stream stream) override;
  Status end_capture(Stream stream, Graph& graph) override;
  Status launch_graph(Graph graph, Stream stream) override;
  Status destroy_graph(Graph graph) override;
  std::unique_ptr<MatmulLibrary> open_matmul_library(std::string& why) override;

 private:
  friend class RecordingMatmul;
  // Writes a call down; what the call then gives, unless it finds fault itself.
  Status call(const char* name, std::vector<std::pair<const char*, uint64_t>> numbers = {}, std::string text = {},
              std::vector<uint64_t> words = {});
  Status make(uint64_t& handle, const char* kind);
  Status end(uint64_t handle, const char* kind);
  // Whether a range lies in a live allocation of that kind.
  Status in_range(const char* kind, uint64_t address, size_t bytes);
  Status is_live(const char* kind, uint64_t handle);
  Status refuse(Status status, const std::string& details);

  RecordingOptions options_;
  std::shared_ptr<Recording> recording_;
  std::map<std::string, uint64_t> counts_;
  std::string details_;
  uint64_t next_handle_ = 1;
  DevicePointer next_address_ = DevicePointer{1} << 40;
  Stream capturing_ = 0;
};

}  // namespace weft::cuda
