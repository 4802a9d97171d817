// Operations on the state as a whole.
#include <algorithm>
#include <cstring>

#include "exec/executable.h"
#include "exec/staging_ring.h"
#include "loaded/cached_states.h"

namespace weft::cuda {

void Executable::save_state(size_t start, size_t count, char* to) {
  gpu_->require_alive();
  const auto where = [] { return std::string("saving the state"); };
  StagingRing ring(*gpu_);
  // One piece at a time: each has to be copied on from its buffer.
  for (size_t begin = 0; begin < count; begin += StagingRing::piece_bytes) {
    const size_t bytes = std::min(StagingRing::piece_bytes, count - begin);
    const char* piece = ring.take(where);
    gpu_->check(gpu_->driver().copy_to_host(const_cast<char*>(piece), state_.at(start + begin), bytes, gpu_->stream()),
                "cuMemcpyDtoHAsync", where);
    ring.sent(where);
    ring.finish(where);
    std::memcpy(to + begin, piece, bytes);
  }
}

void Executable::restore_state(size_t start, size_t count, const char* from) {
  gpu_->require_alive();
  const auto where = [] { return std::string("restoring the state"); };
  StagingRing ring(*gpu_);
  for (size_t begin = 0; begin < count; begin += StagingRing::piece_bytes) {
    const size_t bytes = std::min(StagingRing::piece_bytes, count - begin);
    char* piece = ring.take(where);
    std::memcpy(piece, from + begin, bytes);
    gpu_->check(gpu_->driver().copy_to_device(state_.at(start + begin), piece, bytes, gpu_->stream()), "cuMemcpyHtoDAsync", where);
    ring.sent(where);
  }
  ring.finish(where);
}

void Executable::reset_state() {
  gpu_->require_alive();
  if (state_.bytes() == 0) return;
  gpu_->check(gpu_->driver().fill(state_.at(0), 0, state_.bytes(), gpu_->stream()), "cuMemsetD8Async",
              [] { return std::string("clearing the state"); });
  finish_all("clearing the state");
}

void Executable::shift_state(int64_t count) {
  gpu_->require_alive();
  const auto where = [] { return std::string("dropping the oldest positions of the state"); };
  const auto copy = [&](DevicePointer to, DevicePointer from, size_t bytes) {
    gpu_->check(gpu_->driver().copy_on_device(to, from, bytes, gpu_->stream()), "cuMemcpyDtoDAsync", where);
  };
  // Between runs the activations hold nothing.
  const DeviceMemory& room = activations_;
  for (const DroppedPositions& positions : dropped_positions(plan(), count)) {
    const size_t kept = positions.whole - positions.dropped, dropped = positions.dropped;
    if (dropped == 0) continue;
    for (size_t i = 0; i < positions.outer; ++i) {
      const DevicePointer data = state_.at(positions.offset + i * positions.whole);
      // A copy must not overlap itself: pieces as long as the distance, or longer ones by way of other memory.
      const bool goes_around = room.bytes() > dropped && kept > dropped;
      const size_t piece = goes_around ? room.bytes() : dropped;
      for (size_t begin = 0; begin < kept; begin += piece) {
        const size_t bytes = std::min(piece, kept - begin);
        if (goes_around) {
          copy(room.at(0), data + begin + dropped, bytes);
          copy(data + begin, room.at(0), bytes);
        } else {
          copy(data + begin, data + begin + dropped, bytes);
        }
      }
      gpu_->check(gpu_->driver().fill(data + kept, 0, dropped, gpu_->stream()), "cuMemsetD8Async", where);
    }
  }
  finish_all("dropping the oldest positions of the state");
}

}  // namespace weft::cuda
