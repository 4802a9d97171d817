// One GPU as the executor uses it: a driver whose every call is checked, the stream that everything goes through, waits
// with a watchdog, and the memory of what became of it.
//
// Three states. Alive. Lost: a sticky error (an illegal address, a failed launch) has made the context useless; calls
// are refused with the first error's text, what was allocated is still given back. Abandoned: work did not end before
// the watchdog's deadline; nothing is freed any more, because freeing would wait for that work.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "driver/driver.h"
#include "loaded/loaded_plan.h"

namespace weft::cuda {

struct GpuOptions {
  // The longest that work may take before the device counts as hung.
  double wait_seconds = 60;
  // Waits after every launch, so that an error names the launch that made it.
  bool wait_for_each_launch = false;
  // Kernels may start before the one in front has ended: they wait for their inputs themselves. False where the device
  // or its driver cannot.
  bool overlap_launches = false;
  // Large products by the driver's library of matrix products, where there is one.
  bool use_matmul_library = false;
};

using Clock = std::chrono::steady_clock;

class Gpu {
 public:
  // Throws Error when the device does not answer.
  Gpu(std::unique_ptr<Driver> driver, const GpuOptions& options);
  ~Gpu() { close(); }
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;

  const DeviceFacts& facts() const { return facts_; }
  const GpuOptions& options() const { return options_; }
  Driver& driver() { return *driver_; }
  Stream stream() const { return stream_; }
  // nullptr when there is none, or it is not wanted.
  MatmulLibrary* matmul_library() { return library_.get(); }
  // Its name; else why there is none.
  const std::string& about_matmul_library() const { return about_library_; }
  // Bytes that are free now.
  size_t free_bytes();

  // Throws Error unless the call succeeded. `call`: the driver's name of it. `where()`: the rest of the message.
  template <class Where>
  void check(Status status, const char* call, Where&& where) {
    if (status != success) [[unlikely]]
      fail(status, call, where());
  }

  // Throws Error about a call of the matrix library that failed.
  [[noreturn]] void fail(const std::string& failure, const std::string& where);

  // Throws Error when the device was lost or abandoned.
  void require_alive() const;
  bool is_alive() const { return state_ == State::alive; }
  // What was allocated may be given back.
  bool can_free() const { return driver_ && state_ != State::abandoned; }

  // Until the event has come. Throws Error on a failure of the work before it, or at the deadline.
  template <class Where>
  void wait(Event event, Where&& where) {
    wait(event, Clock::now(), [] { return false; }, where);
  }
  // As before, of a wait that began at `begin`. False: `interrupted` was true before the event had come.
  template <class Where>
  bool wait(Event event, Clock::time_point begin, const Interrupted& interrupted, Where&& where) {
    Status status = driver_->query_event(event);
    while (status == not_ready) {
      if (interrupted()) return false;
      if (!pause(begin)) abandon(where());
      status = driver_->query_event(event);
    }
    check(status, "cuEventQuery", where);
    return true;
  }
  // Until all work has ended, whatever became of it: before memory goes that it uses.
  void drain() noexcept;

  // Released when the device is closed.
  void add(std::weak_ptr<LoadedPlan> plan);
  // Gives back everything. Not on a thread beside which another one calls.
  void close() noexcept;

 private:
  enum class State { alive, lost, abandoned };

  [[noreturn]] void fail(Status status, const char* call, const std::string& where);
  [[noreturn]] void abandon(const std::string& where);
  // Between two looks at what is waited for; false at the deadline.
  bool pause(Clock::time_point begin) const;

  std::unique_ptr<Driver> driver_;
  std::unique_ptr<MatmulLibrary> library_;
  std::string about_library_;
  GpuOptions options_;
  DeviceFacts facts_;
  Stream stream_ = 0;
  Event idle_ = 0;
  State state_ = State::alive;
  std::string end_;  // why it is not alive
  std::vector<std::weak_ptr<LoadedPlan>> plans_;
};

}  // namespace weft::cuda
