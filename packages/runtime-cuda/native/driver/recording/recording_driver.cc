#include "driver/recording/recording_driver.h"

#include <cstdlib>
#include <cstring>

namespace weft::cuda {
namespace {

constexpr Status invalid_value = 1, out_of_memory = 2, invalid_handle = 400, not_found = 500, not_captured = 901;

uint64_t address_of(const void* pointer) { return reinterpret_cast<uint64_t>(pointer); }

}  // namespace

std::vector<RecordedCall> Recording::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(calls_, {});
}

std::map<std::string, uint64_t> Recording::live() const {
  const std::lock_guard lock(mutex_);
  std::map<std::string, uint64_t> counts;
  for (const auto& [kind, objects] : live_)
    if (!objects.empty()) counts[kind] = objects.size();
  return counts;
}

RecordingDriver::RecordingDriver(RecordingOptions options, std::shared_ptr<Recording> recording)
    : options_(std::move(options)), recording_(std::move(recording)) {}

std::string RecordingDriver::explain(Status status) {
  switch (status) {
    case invalid_value: return "CUDA_ERROR_INVALID_VALUE (invalid argument)";
    case out_of_memory: return "CUDA_ERROR_OUT_OF_MEMORY (out of memory)";
    case invalid_handle: return "CUDA_ERROR_INVALID_HANDLE (invalid resource handle)";
    case not_found: return "CUDA_ERROR_NOT_FOUND (named symbol not found)";
    case 700: return "CUDA_ERROR_ILLEGAL_ADDRESS (an illegal memory access was encountered)";
    default: return "error " + std::to_string(status);
  }
}

Status RecordingDriver::refuse(Status status, const std::string& details) {
  details_ = "recording driver: " + details;
  return status;
}

Status RecordingDriver::call(const char* name, std::vector<std::pair<const char*, uint64_t>> numbers, std::string text,
                             std::vector<uint64_t> words) {
  details_.clear();
  {
    const std::lock_guard lock(recording_->mutex_);
    recording_->calls_.push_back({name, std::move(text), std::move(numbers), std::move(words), capturing_ != 0});
  }
  const uint64_t count = ++counts_[name];
  for (const Fault& fault : options_.faults)
    if (fault.call == name && count >= fault.at && count - fault.at < fault.times) return fault.status;
  return success;
}

Status RecordingDriver::make(uint64_t& handle, const char* kind) {
  const std::lock_guard lock(recording_->mutex_);
  recording_->live_[kind][handle = next_handle_++] = 0;
  return success;
}

Status RecordingDriver::end(uint64_t handle, const char* kind) {
  const std::lock_guard lock(recording_->mutex_);
  if (recording_->live_[kind].erase(handle) == 1) return success;
  return refuse(invalid_handle, std::string("no such ") + kind);
}

Status RecordingDriver::is_live(const char* kind, uint64_t handle) {
  const std::lock_guard lock(recording_->mutex_);
  if (recording_->live_[kind].contains(handle)) return success;
  return refuse(invalid_handle, std::string("no such ") + kind);
}

Status RecordingDriver::in_range(const char* kind, uint64_t address, size_t bytes) {
  const std::lock_guard lock(recording_->mutex_);
  const auto& ranges = recording_->live_[kind];
  auto after = ranges.upper_bound(address);
  if (after != ranges.begin()) {
    const auto& [begin, size] = *--after;
    if (address - begin <= size && bytes <= size - (address - begin)) return success;
  }
  return refuse(invalid_value, std::to_string(bytes) + " bytes are not in one allocation of " + kind + " memory");
}

Status RecordingDriver::facts(DeviceFacts& facts) {
  if (const Status status = call("facts")) return status;
  facts = options_.facts;
  return success;
}

Status RecordingDriver::allocate(DevicePointer& pointer, size_t bytes) {
  if (const Status status = call("allocate", {{"bytes", bytes}})) return status;
  if (bytes == 0) return refuse(invalid_value, "nothing to allocate");
  pointer = next_address_;
  next_address_ += (bytes + 511) / 256 * 256;
  const std::lock_guard lock(recording_->mutex_);
  recording_->live_["device"][pointer] = bytes;
  return success;
}

Status RecordingDriver::free(DevicePointer pointer) {
  if (const Status status = call("free")) return status;
  return end(pointer, "device");
}

Status RecordingDriver::allocate_host(void*& pointer, size_t bytes) {
  if (const Status status = call("allocate_host", {{"bytes", bytes}})) return status;
  pointer = std::calloc(1, bytes);
  if (!pointer) return out_of_memory;
  const std::lock_guard lock(recording_->mutex_);
  recording_->live_["pinned"][address_of(pointer)] = bytes;
  return success;
}

Status RecordingDriver::free_host(void* pointer) {
  if (const Status status = call("free_host")) return status;
  if (const Status status = end(address_of(pointer), "pinned")) return status;
  std::free(pointer);
  return success;
}

Status RecordingDriver::copy_to_device(DevicePointer to, const void* from, size_t bytes, Stream) {
  if (const Status status = call("copy_to_device", {{"bytes", bytes}})) return status;
  if (const Status status = in_range("device", to, bytes)) return status;
  return in_range("pinned", address_of(from), bytes);
}

Status RecordingDriver::copy_to_host(void* to, DevicePointer from, size_t bytes, Stream) {
  if (const Status status = call("copy_to_host", {{"bytes", bytes}})) return status;
  if (const Status status = in_range("device", from, bytes)) return status;
  return in_range("pinned", address_of(to), bytes);
}

Status RecordingDriver::copy_on_device(DevicePointer to, DevicePointer from, size_t bytes, Stream) {
  if (const Status status = call("copy_on_device", {{"bytes", bytes}})) return status;
  if (to < from + bytes && from < to + bytes) return refuse(invalid_value, "a copy overlaps itself");
  if (const Status status = in_range("device", to, bytes)) return status;
  return in_range("device", from, bytes);
}

Status RecordingDriver::fill(DevicePointer pointer, uint8_t value, size_t bytes, Stream) {
  if (const Status status = call("fill", {{"value", value}, {"bytes", bytes}})) return status;
  return in_range("device", pointer, bytes);
}

Status RecordingDriver::create_stream(Stream& stream) {
  if (const Status status = call("create_stream")) return status;
  return make(stream, "stream");
}

Status RecordingDriver::destroy_stream(Stream stream) {
  if (const Status status = call("destroy_stream")) return status;
  return end(stream, "stream");
}

Status RecordingDriver::create_event(Event& event) {
  if (const Status status = call("create_event")) return status;
  return make(event, "event");
}

Status RecordingDriver::destroy_event(Event event) {
  if (const Status status = call("destroy_event")) return status;
  return end(event, "event");
}

Status RecordingDriver::record_event(Event event, Stream stream) {
  if (const Status status = call("record_event")) return status;
  if (const Status status = is_live("event", event)) return status;
  return is_live("stream", stream);
}

Status RecordingDriver::query_event(Event event) {
  if (const Status status = call("query_event")) return status;
  return is_live("event", event);
}

Status RecordingDriver::wait_event(Stream stream, Event event) {
  if (const Status status = call("wait_event")) return status;
  if (const Status status = is_live("event", event)) return status;
  return is_live("stream", stream);
}

Status RecordingDriver::elapsed(float& milliseconds, Event from, Event to) {
  if (const Status status = call("elapsed")) return status;
  milliseconds = 0.001f;
  if (const Status status = is_live("event", from)) return status;
  return is_live("event", to);
}

Status RecordingDriver::load_module(Module& module, const void*, size_t bytes) {
  if (const Status status = call("load_module", {{"bytes", bytes}})) return status;
  return make(module, "module");
}

Status RecordingDriver::unload_module(Module module) {
  if (const Status status = call("unload_module")) return status;
  return end(module, "module");
}

Status RecordingDriver::get_function(Function& function, Module module, const char* name) {
  if (const Status status = call("get_function", {}, name)) return status;
  function = next_handle_++;
  return is_live("module", module);
}

Status RecordingDriver::allow_shared_bytes(Function, size_t bytes) {
  if (const Status status = call("allow_shared_bytes", {{"bytes", bytes}})) return status;
  return bytes <= options_.facts.shared_bytes_per_block ? success : refuse(invalid_value, "too much shared memory");
}

Status RecordingDriver::launch(const Launch& launch) {
  std::vector<uint64_t> words(launch.args_bytes / 8);
  std::memcpy(words.data(), launch.args, words.size() * 8);
  std::vector<std::pair<const char*, uint64_t>> numbers = {
      {"blocks", launch.blocks}, {"threads", launch.threads}, {"shared", launch.shared_bytes}};
  if (launch.overlaps_previous) numbers.emplace_back("overlaps", 1);
  if (const Status status = call("launch", std::move(numbers), launch.label, std::move(words))) return status;
  if (launch.blocks == 0 || launch.threads == 0) return refuse(invalid_value, "an empty grid");
  return is_live("stream", launch.stream);
}

Status RecordingDriver::begin_capture(Stream stream) {
  if (const Status status = call("begin_capture")) return status;
  if (capturing_) return refuse(not_captured, "a capture is under way");
  capturing_ = stream;
  return is_live("stream", stream);
}

Status RecordingDriver::end_capture(Stream stream, Graph& graph) {
  const bool is_capturing = capturing_ == stream;
  capturing_ = 0;
  if (const Status status = call("end_capture")) return status;
  return is_capturing ? make(graph, "graph") : refuse(not_captured, "no capture is under way");
}

Status RecordingDriver::launch_graph(Graph graph, Stream) {
  if (const Status status = call("launch_graph")) return status;
  return is_live("graph", graph);
}

Status RecordingDriver::destroy_graph(Graph graph) {
  if (const Status status = call("destroy_graph")) return status;
  return end(graph, "graph");
}

}  // namespace weft::cuda
