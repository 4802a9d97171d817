// A GPU driver without a GPU: memory of the host, modules made by the host's compiler, and launches that a scheduler runs
// thread by thread with every access checked. Streams do their work at once, in the order of the calls.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "../driver.h"
#include "memory.h"
#include "module.h"
#include "options.h"
#include "scheduler.h"

namespace weft::cuda {

class SimulatedDriver final : public Driver {
 public:
  explicit SimulatedDriver(const SimulatorOptions& options = SimulatorOptions::from_environment());
  ~SimulatedDriver() override;

  std::string explain(Status status) override;
  // After a failed launch: kernel, block, thread, what happened, both parties, and the seed.
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
  friend class SimulatedMatmul;
  // Work of a stream: done at once, or recorded and done with each launch of the graph.
  using Operation = std::function<Status()>;
  struct Recording {
    Stream origin;
    std::vector<Operation> operations;
  };
  struct StreamState {
    std::shared_ptr<Recording> recording;
  };
  struct EventState {
    bool recorded = false;
    double seconds = 0;
    // The recording that holds its last record, if it is not over.
    std::weak_ptr<Recording> recording;
  };
  struct FunctionState {
    Module module;
    std::string name;
    const weft_sim::Kernel* kernel;
    size_t shared_bytes_allowed;
  };

  // What a method does unless the device is lost; memory that runs out on the way is a status as well.
  template <typename Body>
  Status guarded(Body body);
  Status put(Stream stream, Operation operation);
  Status refuse(Status status, std::string why);
  Status check_launch(const Launch& launch);
  Status run_launch(const Launch& launch);
  sim::MemoryBuffer* range(DevicePointer pointer, size_t bytes, const char* what);
  Status copy_now(DevicePointer to, DevicePointer from, size_t bytes);
  Status read_now(void* to, DevicePointer from, size_t bytes);
  Status multiply_now(const Matmul& matmul);

  const SimulatorOptions options_;
  sim::DeviceMemory memory_;
  sim::Scheduler scheduler_;
  std::string details_;
  // Not success once the device is lost: every call gives it from then on.
  Status lost_ = success;
  uint64_t launches_ = 0;
  uint64_t last_handle_ = 0;
  std::unordered_map<Stream, StreamState> streams_;
  std::unordered_map<Event, EventState> events_;
  std::unordered_map<Module, std::unique_ptr<sim::SharedObject>> modules_;
  std::unordered_map<Function, FunctionState> functions_;
  std::unordered_map<Graph, std::vector<Operation>> graphs_;
  std::unordered_map<void*, size_t> host_memory_;
};

}  // namespace weft::cuda
