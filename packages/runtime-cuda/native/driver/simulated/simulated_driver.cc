// Facts, memory, streams and events.
#include "simulated_driver.h"

#include <chrono>
#include <cstdlib>

#include "guarded.h"

namespace weft::cuda {

using namespace sim;

SimulatorOptions SimulatorOptions::from_environment() {
  SimulatorOptions options;
  const char* seed = std::getenv("WEFT_SIM_SEED");
  if (seed != nullptr && *seed != '\0') options.seed = std::strtoull(seed, nullptr, 10);
  return options;
}

SimulatedDriver::SimulatedDriver(const SimulatorOptions& options)
    : options_(options), memory_(options.total_bytes), scheduler_(options_, memory_) {}

SimulatedDriver::~SimulatedDriver() {
  for (const auto& [pointer, bytes] : host_memory_) std::free(pointer);
}

std::string SimulatedDriver::explain(Status status) { return explain_status(status); }

Status SimulatedDriver::refuse(Status status, std::string why) {
  details_ = std::move(why);
  return status;
}

Status SimulatedDriver::facts(DeviceFacts& facts) {
  facts.name = "simulated sm_" + std::to_string(options_.compute_capability);
  facts.compute_capability = options_.compute_capability;
  facts.multiprocessors = options_.multiprocessors;
  facts.shared_bytes_per_block = 227 << 10;
  facts.total_bytes = memory_.total();
  facts.free_bytes = memory_.total() - memory_.used();
  facts.driver_version = 13000;
  return success;
}

// ---- memory

Status SimulatedDriver::allocate(DevicePointer& pointer, size_t bytes) {
  return guarded([&] { return memory_.allocate(pointer, bytes); });
}

Status SimulatedDriver::free(DevicePointer pointer) {
  return guarded([&] { return memory_.free(pointer); });
}

Status SimulatedDriver::allocate_host(void*& pointer, size_t bytes) {
  return guarded([&] {
    pointer = nullptr;
    if (bytes == 0) return invalid_value;
    pointer = std::malloc(bytes);
    if (pointer == nullptr) return out_of_memory;
    host_memory_.emplace(pointer, bytes);
    return success;
  });
}

Status SimulatedDriver::free_host(void* pointer) {
  return guarded([&] {
    if (pointer == nullptr) return success;
    if (host_memory_.erase(pointer) == 0) return invalid_value;
    std::free(pointer);
    return success;
  });
}

MemoryBuffer* SimulatedDriver::range(DevicePointer pointer, size_t bytes, const char* what) {
  MemoryBuffer* buffer = memory_.find(pointer, bytes);
  if (buffer == nullptr)
    details_ = std::string(what) + " of " + std::to_string(bytes) + " bytes: not part of any allocation of the device";
  return buffer;
}

Status SimulatedDriver::copy_to_device(DevicePointer to, const void* from, size_t bytes, Stream stream) {
  return guarded([&] {
    if (bytes == 0) return success;
    return put(stream, [=, this] {
      MemoryBuffer* buffer = range(to, bytes, "copy to the device");
      if (buffer == nullptr || from == nullptr) return invalid_value;
      std::memcpy(reinterpret_cast<void*>(to), from, bytes);
      buffer->shadow.mark(to - reinterpret_cast<DevicePointer>(buffer->base), bytes, scheduler_.host_stamp());
      scheduler_.break_chain();
      return success;
    });
  });
}

Status SimulatedDriver::read_now(void* to, DevicePointer from, size_t bytes) {
  MemoryBuffer* buffer = range(from, bytes, "copy to the host");
  if (buffer == nullptr || to == nullptr) return invalid_value;
  const size_t offset = from - reinterpret_cast<DevicePointer>(buffer->base);
  const size_t unwritten = buffer->shadow.first_unwritten(offset, bytes);
  if (options_.check_host_reads && unwritten < offset + bytes)
    return refuse(invalid_value, "copy of " + std::to_string(bytes) + " bytes to the host: nothing was written to byte " +
                                     std::to_string(unwritten - offset) + " of them");
  std::memcpy(to, reinterpret_cast<const void*>(from), bytes);
  scheduler_.break_chain();
  return success;
}

Status SimulatedDriver::copy_to_host(void* to, DevicePointer from, size_t bytes, Stream stream) {
  return guarded([&] {
    if (bytes == 0) return success;
    return put(stream, [=, this] { return read_now(to, from, bytes); });
  });
}

Status SimulatedDriver::copy_now(DevicePointer to, DevicePointer from, size_t bytes) {
  MemoryBuffer* target = range(to, bytes, "copy on the device");
  MemoryBuffer* source = range(from, bytes, "copy on the device");
  if (target == nullptr || source == nullptr) return invalid_value;
  std::memmove(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), bytes);
  // What was not written stays so.
  const size_t from_offset = from - reinterpret_cast<DevicePointer>(source->base);
  const size_t to_offset = to - reinterpret_cast<DevicePointer>(target->base);
  for (size_t at = 0; at < bytes;) {
    const size_t end = source->shadow.first_unwritten(from_offset + at, bytes - at) - from_offset;
    target->shadow.mark(to_offset + at, end - at, scheduler_.host_stamp());
    for (at = end; at < bytes && source->shadow.first_unwritten(from_offset + at, 1) == from_offset + at; ++at)
      target->shadow.mark(to_offset + at, 1, Stamp());
  }
  scheduler_.break_chain();
  return success;
}

Status SimulatedDriver::copy_on_device(DevicePointer to, DevicePointer from, size_t bytes, Stream stream) {
  return guarded([&] {
    if (bytes == 0) return success;
    return put(stream, [=, this] { return copy_now(to, from, bytes); });
  });
}

Status SimulatedDriver::fill(DevicePointer pointer, uint8_t value, size_t bytes, Stream stream) {
  return guarded([&] {
    if (bytes == 0) return success;
    return put(stream, [=, this] {
      MemoryBuffer* buffer = range(pointer, bytes, "fill");
      if (buffer == nullptr) return invalid_value;
      std::memset(reinterpret_cast<void*>(pointer), value, bytes);
      buffer->shadow.mark(pointer - reinterpret_cast<DevicePointer>(buffer->base), bytes, scheduler_.host_stamp());
      scheduler_.break_chain();
      return success;
    });
  });
}

// ---- streams and events

Status SimulatedDriver::create_stream(Stream& stream) {
  return guarded([&] {
    stream = ++last_handle_;
    streams_[stream] = {};
    return success;
  });
}

Status SimulatedDriver::destroy_stream(Stream stream) {
  return guarded([&] { return streams_.erase(stream) == 1 ? success : invalid_handle; });
}

Status SimulatedDriver::create_event(Event& event) {
  return guarded([&] {
    event = ++last_handle_;
    events_[event] = {};
    return success;
  });
}

Status SimulatedDriver::destroy_event(Event event) {
  return guarded([&] { return events_.erase(event) == 1 ? success : invalid_handle; });
}

Status SimulatedDriver::record_event(Event event, Stream stream) {
  return guarded([&]() -> Status {
    const auto found = events_.find(event);
    if (found == events_.end()) return invalid_handle;
    found->second.recording.reset();
    const auto on = streams_.find(stream);
    if (on != streams_.end()) found->second.recording = on->second.recording;
    return put(stream, [=, this] {
      const auto state = events_.find(event);
      if (state == events_.end()) return invalid_handle;
      state->second.recorded = true;
      state->second.seconds =
          std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
      return success;
    });
  });
}

Status SimulatedDriver::query_event(Event event) {
  return guarded([&] {
    const auto found = events_.find(event);
    if (found == events_.end()) return invalid_handle;
    if (!found->second.recording.expired()) return refuse(capture_unsupported, "the event belongs to a capture");
    return success;
  });
}

Status SimulatedDriver::wait_event(Stream stream, Event event) {
  return guarded([&] {
    const auto found = events_.find(event);
    if (found == events_.end()) return invalid_handle;
    // Waiting for work of a capture takes a stream into it.
    const std::shared_ptr<Recording> recording = found->second.recording.lock();
    if (recording != nullptr) {
      const auto on = streams_.find(stream);
      if (on == streams_.end()) return invalid_handle;
      on->second.recording = recording;
    }
    return put(stream, [] { return success; });
  });
}

Status SimulatedDriver::elapsed(float& milliseconds, Event from, Event to) {
  return guarded([&] {
    const auto a = events_.find(from), b = events_.find(to);
    if (a == events_.end() || b == events_.end() || !a->second.recorded || !b->second.recorded) return invalid_handle;
    milliseconds = static_cast<float>((b->second.seconds - a->second.seconds) * 1e3);
    return success;
  });
}

}  // namespace weft::cuda
