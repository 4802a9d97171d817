// A ring of page-locked buffers for long copies between pageable memory and the device: while one is on its way, the
// next is filled.
#pragma once

#include <array>

#include "exec/owned.h"

namespace weft::cuda {

class StagingRing {
 public:
  static constexpr size_t piece_bytes = size_t{4} << 20;

  explicit StagingRing(Gpu& gpu) : gpu_(gpu), memory_(gpu, piece_bytes * buffers, "staging") {
    for (OwnedEvent& event : events_) event = make_event(gpu);
  }
  StagingRing(const StagingRing&) = delete;
  StagingRing& operator=(const StagingRing&) = delete;
  // Copies under way still use the memory.
  ~StagingRing() {
    if (is_busy_) gpu_.drain();
  }

  // A buffer of `piece_bytes` that no copy uses.
  template <class Where>
  char* take(Where&& where) {
    if (pending_[next_]) gpu_.wait(events_[next_].get(), where);
    pending_[next_] = false;
    is_busy_ = true;
    return memory_.at(next_ * piece_bytes);
  }
  // The copies that use the buffer taken last are on the stream.
  template <class Where>
  void sent(Where&& where) {
    gpu_.check(gpu_.driver().record_event(events_[next_].get(), gpu_.stream()), "cuEventRecord", where);
    pending_[next_] = true;
    next_ = (next_ + 1) % buffers;
  }
  // Until all copies have ended.
  template <class Where>
  void finish(Where&& where) {
    for (size_t i = 0; i < buffers; ++i) {
      if (pending_[i]) gpu_.wait(events_[i].get(), where);
      pending_[i] = false;
    }
    is_busy_ = false;
  }

 private:
  static constexpr size_t buffers = 4;

  Gpu& gpu_;
  PinnedMemory memory_;
  std::array<OwnedEvent, buffers> events_;
  std::array<bool, buffers> pending_{};
  size_t next_ = 0;
  bool is_busy_ = false;
};

}  // namespace weft::cuda
