// Modules, launches and graphs.
#include <array>

#include "guarded.h"
#include "simulated_driver.h"

namespace weft::cuda {

using namespace sim;

namespace {

constexpr size_t shared_bytes_by_default = 48 << 10, most_shared_bytes = 227 << 10;

}  // namespace

// Stream 0 is the default stream, as in CUDA; it cannot be captured.
Status SimulatedDriver::put(Stream stream, Operation operation) {
  if (stream != 0) {
    const auto found = streams_.find(stream);
    if (found == streams_.end()) return refuse(invalid_handle, "no such stream");
    if (found->second.recording != nullptr) {
      found->second.recording->operations.push_back(std::move(operation));
      return success;
    }
  }
  return operation();
}

Status SimulatedDriver::load_module(Module& module, const void* image, size_t bytes) {
  return guarded([&] {
    std::unique_ptr<SharedObject> object;
    std::string reason;
    const Status status = SharedObject::load(object, image, bytes, scheduler_.table(), reason);
    if (status != success) return refuse(status, reason);
    module = ++last_handle_;
    modules_.emplace(module, std::move(object));
    return success;
  });
}

Status SimulatedDriver::unload_module(Module module) {
  return guarded([&] {
    if (modules_.erase(module) == 0) return invalid_handle;
    std::erase_if(functions_, [&](const auto& entry) { return entry.second.module == module; });
    scheduler_.places().forget();
    return success;
  });
}

Status SimulatedDriver::get_function(Function& function, Module module, const char* name) {
  return guarded([&] {
    const auto found = modules_.find(module);
    if (found == modules_.end()) return invalid_handle;
    const weft_sim::Kernel* kernel = found->second->kernel(name);
    if (kernel == nullptr) return refuse(not_found, std::string("the module has no kernel named ") + name);
    function = ++last_handle_;
    functions_.emplace(function, FunctionState{module, name, kernel, shared_bytes_by_default});
    return success;
  });
}

Status SimulatedDriver::allow_shared_bytes(Function function, size_t bytes) {
  return guarded([&] {
    const auto found = functions_.find(function);
    if (found == functions_.end()) return invalid_handle;
    if (bytes > most_shared_bytes) return invalid_value;
    found->second.shared_bytes_allowed = bytes;
    return success;
  });
}

Status SimulatedDriver::check_launch(const Launch& launch) {
  const auto found = functions_.find(launch.function);
  if (found == functions_.end()) return invalid_handle;
  const FunctionState& function = found->second;
  const auto wrong = [&](const std::string& why) {
    return refuse(invalid_value, std::string(launch.label) + ": " + function.name + " " + why);
  };
  if (launch.blocks == 0 || launch.blocks > 0x7fffffffu)
    return wrong("cannot be launched with " + std::to_string(launch.blocks) + " blocks");
  if (launch.threads == 0 || launch.threads % 32 != 0 || launch.threads > 1024)
    return wrong("cannot be launched with " + std::to_string(launch.threads) + " threads");
  if (static_cast<int>(launch.threads) > function.kernel->threads)
    return wrong("is compiled for " + std::to_string(function.kernel->threads) + " threads, not " +
                 std::to_string(launch.threads));
  if (launch.args == nullptr || launch.args_bytes != function.kernel->args_bytes)
    return wrong("takes arguments of " + std::to_string(function.kernel->args_bytes) + " bytes, not " +
                 std::to_string(launch.args_bytes));
  if (launch.shared_bytes > function.shared_bytes_allowed)
    return wrong("is allowed " + std::to_string(function.shared_bytes_allowed) + " bytes of shared memory, not " +
                 std::to_string(launch.shared_bytes));
  return success;
}

Status SimulatedDriver::run_launch(const Launch& launch) {
  const Status checked = check_launch(launch);
  if (checked != success) return checked;
  Status status = success;
  if (++launches_ == options_.failing_launch) {
    status = options_.failing_status;
    details_ = std::string(launch.label) + ": failure injected into launch " + std::to_string(launches_);
  } else {
    status = scheduler_.run(*functions_.at(launch.function).kernel, launch, details_);
  }
  // As on a real device, a kernel's failure takes the whole context with it.
  if (status != success) lost_ = status;
  return options_.late_failures ? success : status;
}

Status SimulatedDriver::launch(const Launch& launch) {
  return guarded([&] {
    const Status checked = check_launch(launch);
    if (checked != success) return checked;
    struct Copy {
      Launch launch;
      std::string label;
      std::vector<std::array<std::byte, 16>> args;
    };
    auto copy = std::make_shared<Copy>(Copy{launch, launch.label, {}});
    copy->args.resize((launch.args_bytes + 15) / 16);
    std::memcpy(copy->args.data(), launch.args, launch.args_bytes);
    copy->launch.args = copy->args.data();
    copy->launch.label = copy->label.c_str();
    return put(launch.stream, [copy, this] { return run_launch(copy->launch); });
  });
}

Status SimulatedDriver::begin_capture(Stream stream) {
  return guarded([&] {
    const auto found = streams_.find(stream);
    if (found == streams_.end()) return invalid_handle;
    if (found->second.recording != nullptr) return refuse(illegal_state, "the stream is already being captured");
    found->second.recording = std::make_shared<Recording>(Recording{stream, {}});
    return success;
  });
}

Status SimulatedDriver::end_capture(Stream stream, Graph& graph) {
  return guarded([&] {
    const auto found = streams_.find(stream);
    if (found == streams_.end()) return invalid_handle;
    const std::shared_ptr<Recording> recording = found->second.recording;
    if (recording == nullptr) return refuse(illegal_state, "the stream is not being captured");
    if (recording->origin != stream) return refuse(capture_unmatched, "the capture began on another stream");
    for (auto& [handle, state] : streams_)
      if (state.recording == recording) state.recording.reset();
    graph = ++last_handle_;
    graphs_.emplace(graph, std::move(recording->operations));
    return success;
  });
}

Status SimulatedDriver::launch_graph(Graph graph, Stream stream) {
  return guarded([&] {
    const auto found = graphs_.find(graph);
    if (found == graphs_.end()) return invalid_handle;
    return put(stream, [graph, this] {
      const auto replayed = graphs_.find(graph);
      if (replayed == graphs_.end()) return invalid_handle;
      for (const Operation& operation : replayed->second) {
        const Status status = operation();
        if (status != success) return status;
        if (lost_ != success) break;
      }
      return success;
    });
  });
}

Status SimulatedDriver::destroy_graph(Graph graph) {
  return guarded([&] { return graphs_.erase(graph) == 1 ? success : invalid_handle; });
}

}  // namespace weft::cuda
