// Order between the blocks of a launch. A thread publishes what it did before its fence with the next atomic operation;
// who finds that operation's result in the same cell may rely on it. All by the times of synchronisation events.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "shadow.h"

namespace weft::cuda::sim {

// The last fence of a thread: its own time, and what was ordered before it. 0: none yet.
struct Fence {
  uint64_t time = 0, barrier_time = 0, warp_time = 0;
};

// Per thread of a block, the time of its last fence before a barrier.
using FenceTimes = std::vector<uint64_t>;

struct Publication {
  // When the atomic operation was, and by whom.
  uint64_t time;
  uint32_t thread;
  Fence fence;
  // Fences of other threads of the block that a barrier put before the operation.
  std::shared_ptr<const FenceTimes> fences;

  bool covers(Stamp stamp) const {
    const uint64_t when = stamp.time();
    const uint32_t who = stamp.thread();
    if (when < fence.barrier_time || (who == thread && when < fence.time)) return true;
    if (who / 32 == thread / 32 && when < fence.warp_time) return true;
    return fences != nullptr && when < (*fences)[who];
  }
};

// One counter that atomic operations of this launch met in.
struct AtomicCell {
  struct Entry {
    uint32_t number;
    Publication publication;
  };
  uint32_t count = 0;
  std::unordered_map<uint32_t, std::vector<Entry>> by_block;
};

// A thread saw the first `count` operations of a cell, at `time`.
struct Acquired {
  AtomicCell* cell;
  uint32_t count;
  uint32_t thread;
  uint64_t time;
};

}  // namespace weft::cuda::sim
