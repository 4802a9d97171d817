#include "exec/gpu.h"

#include <algorithm>
#include <cstdio>
#include <thread>

#include "error.h"

namespace weft::cuda {
namespace {

// Errors after which every further call in the context fails, by their number in the driver's interface.
bool is_sticky(Status status) {
  static constexpr Status sticky[] = {
      46,   // device unavailable
      214,  // uncorrectable ECC error
      220,  // NVLink error
      226,  // contained error
      700,  // illegal address
      702,  // launch timeout
      709,  // context is destroyed
      710,  // assert
      714,  // hardware stack error
      715,  // illegal instruction
      716,  // misaligned address
      717,  // invalid address space
      718,  // invalid program counter
      719,  // launch failure
      721,  // external device
  };
  return std::find(std::begin(sticky), std::end(sticky), status) != std::end(sticky);
}

// Kernels for sm_90 and later wait for their inputs themselves; a stream that overlaps them is captured from this
// version of the driver on.
bool can_overlap(const DeviceFacts& facts) { return facts.compute_capability >= 90 && facts.driver_version >= 12030; }

// What to do about errors that have a usual cause.
std::string remedy(Status status, const DeviceFacts& facts) {
  switch (status) {
    case 2: return "; free memory of the GPU, or load with less context";
    // An image of a later toolkit looks damaged to a driver that came before it.
    case 200:
    case 218:
    case 222: {
      const std::string major = std::to_string(facts.driver_version / 1000);
      return "; the image is damaged, or its toolkit is too new for the driver, which supports CUDA " + version_text(facts.driver_version) +
             ": update the NVIDIA driver, or compile the kernels again with nvcc or NVRTC of CUDA " + major + " or earlier";
    }
    case 209: return "; the image was compiled for another GPU: compile the kernels again for this one";
    case 500: return "; the image does not belong to this plan: compile the kernels again";
    default: return "";
  }
}

}  // namespace

Gpu::Gpu(std::unique_ptr<Driver> driver, const GpuOptions& options) : driver_(std::move(driver)), options_(options) {
  const auto where = [] { return std::string("opening the device"); };
  try {
    check(driver_->facts(facts_), "cuDeviceGetAttribute", where);
    options_.overlap_launches = options_.overlap_launches && can_overlap(facts_);
    check(driver_->create_stream(stream_), "cuStreamCreate", where);
    check(driver_->create_event(idle_), "cuEventCreate", where);
    if (options_.use_matmul_library) library_ = driver_->open_matmul_library(about_library_);
    else about_library_ = "the device was opened without a library of matrix products";
    if (library_) about_library_ = library_->name();
  } catch (...) {
    close();
    throw;
  }
}

size_t Gpu::free_bytes() {
  DeviceFacts now;
  check(driver_->facts(now), "cuMemGetInfo", [] { return std::string("asking for free memory"); });
  return now.free_bytes;
}

void Gpu::require_alive() const {
  if (state_ != State::alive) throw Error("[cuda] the device must not be used after it was lost; close it and open a new one; " + end_);
  if (!driver_) throw Error("the device was disposed");
}

void Gpu::fail(Status status, const char* call, const std::string& where) {
  std::string text = "[cuda] " + std::string(call) + " must succeed; " + driver_->explain(status) + "; " + where + remedy(status, facts_);
  if (const std::string details = driver_->details(); !details.empty()) text += "\n" + details;
  if (is_sticky(status)) {
    if (state_ == State::alive) {
      state_ = State::lost;
      end_ = text;
    }
    text += "; the device is lost: close it and open a new one";
    // Kernels fail while the host is elsewhere.
    if (!options_.wait_for_each_launch) text += ", with waitForEachLaunch to learn which kernel it was";
  }
  throw Error(text);
}

void Gpu::fail(const std::string& failure, const std::string& where) {
  // Whether the device was lost with it, the next call of the driver tells.
  throw Error("[cuda] " + failure + "; " + where);
}

void Gpu::abandon(const std::string& where) {
  char seconds[32];
  std::snprintf(seconds, sizeof seconds, "%g", options_.wait_seconds);
  end_ = "[cuda] work on the device must end within " + std::string(seconds) + " s; it still runs; " + where;
  state_ = State::abandoned;
  throw Error(end_ + "; the device is lost, and its memory goes with this process: open a new one, with a longer "
                     "waitSeconds if the work may take so long");
}

bool Gpu::pause(Clock::time_point begin) const {
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  if (seconds > options_.wait_seconds) return false;
  // A decode step takes milliseconds: sleeping would show. Long work leaves the processor alone.
  if (seconds < 0.02) std::this_thread::yield();
  else std::this_thread::sleep_for(std::chrono::microseconds(seconds < 1 ? 50 : 1000));
  return true;
}

void Gpu::drain() noexcept {
  if (!driver_ || state_ == State::abandoned) return;
  try {
    const auto where = [] { return std::string("waiting for the rest of the work"); };
    check(driver_->record_event(idle_, stream_), "cuEventRecord", where);
    wait(idle_, where);
  } catch (const std::exception&) {
    // The error that brought us here is the one to tell; this one is kept in the state.
  }
}

void Gpu::add(std::weak_ptr<LoadedPlan> plan) {
  std::erase_if(plans_, [](const std::weak_ptr<LoadedPlan>& one) { return one.expired(); });
  plans_.push_back(std::move(plan));
}

void Gpu::close() noexcept {
  if (!driver_) return;
  for (const std::weak_ptr<LoadedPlan>& plan : plans_)
    if (const std::shared_ptr<LoadedPlan> alive = plan.lock()) {
      // Whoever has not been told yet of a run's end must not read its outputs.
      alive->stop();
      alive->release();
    }
  plans_.clear();
  if (state_ == State::abandoned) {
    // Their destructors would wait for work that never ends.
    static_cast<void>(library_.release());
    static_cast<void>(driver_.release());
    return;
  }
  library_.reset();
  if (idle_) driver_->destroy_event(idle_);
  if (stream_) driver_->destroy_stream(stream_);
  driver_.reset();
}

}  // namespace weft::cuda
