// A launch while it runs: its blocks, warps and threads.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "../driver.h"
#include "buffer.h"
#include "fiber.h"
#include "options.h"
#include "places.h"
#include "publication.h"
#include "random.h"

namespace weft::cuda::sim {

class DeviceMemory;
struct BlockRun;
struct LaunchRun;

struct AsyncCopy {
  uint64_t to_offset;
  // Null: zeros.
  weft_sim::Buffer* from;
  uint64_t from_offset;
  uint32_t place;
  uint32_t group;
};

enum class ThreadState { ready, at_barrier, at_warp, suspected, ended };

// Lanes come together: at shuffles, mma and sync_warp.
struct WarpRun {
  int arrived = 0;
  const char* what = nullptr;
  const weft_sim::Place* place = nullptr;
  int first_thread = 0;
  // When the lanes last synchronised their memory accesses.
  uint64_t sync_time = 0;
  // Lanes read what was laid down while the fastest already lay down the next: two in turn.
  int turn = 0;
  alignas(16) unsigned char values[2][32][weft_sim::exchange_bytes];
};

struct ThreadRun : weft_sim::Thread {
  BlockRun* run = nullptr;
  WarpRun* warp = nullptr;
  Fiber fiber;
  ThreadState state = ThreadState::ready;
  // What it waits in.
  const char* waits_in = nullptr;
  const weft_sim::Place* waits_at = nullptr;
  std::vector<AsyncCopy> copies;
  uint32_t open_group = 0;
  Fence fence;
  // Earlier launches that may still run have been waited for.
  bool inputs_ready = true;
};

struct BlockRun {
  LaunchRun* launch = nullptr;
  uint32_t number = 0;
  // Of the pool; the first `count` take part.
  std::vector<std::unique_ptr<ThreadRun>> threads;
  std::vector<std::unique_ptr<WarpRun>> warps;
  int count = 0, ended = 0, arrived = 0;
  const weft_sim::Place* barrier_place = nullptr;
  int barrier_first = 0;
  // The last barrier, and the last event of any kind.
  uint64_t barrier_time = 0, time = 0;
  std::unique_ptr<unsigned char[]> shared_memory;
  size_t shared_capacity = 0;
  std::unique_ptr<MemoryBuffer> shared;
  // For order between blocks: fences before the last barrier, and what was learned through atomics.
  bool fenced = false, waited_for_inputs = false;
  std::shared_ptr<const FenceTimes> fences_at_barrier;
  std::vector<Acquired> acquired;
};

struct LaunchRun {
  const weft_sim::Kernel* kernel = nullptr;
  const void* args = nullptr;
  std::string label;
  uint32_t blocks = 0;
  int threads = 0;
  uint32_t shared_bytes = 0;
  uint64_t seed = 0;

  Random random;
  Places* places = nullptr;
  DeviceMemory* memory = nullptr;
  weft_sim::Table* table = nullptr;
  const SimulatorOptions* options = nullptr;
  // Of the driver: the number of the last synchronisation event.
  uint64_t* clock = nullptr;
  uint64_t start_time = 0;
  // Which block each event since `start_time` belongs to.
  std::vector<uint32_t> owners;
  // What launches wrote from here on needs `wait_for_inputs`.
  uint64_t unsafe_from = 0;
  bool overlaps = false;

  std::vector<ThreadRun*> ready;
  std::unordered_map<uint64_t, AtomicCell> cells;
  uint64_t steps_left = 0, steps_done = 0, steps_granted = 0;
  double deadline = 0;

  bool failed = false;
  Status status = success;
  std::string details;
  // A read of what nothing was written to yet. If somebody still writes it, the mistake is a race, and both are named.
  Status suspected = success;
  std::string suspicion;

  // A new event of the block.
  uint64_t tick(BlockRun& block) {
    block.time = ++*clock;
    owners.push_back(block.number);
    return block.time;
  }
  bool ours(uint64_t time) const { return time >= start_time; }
  uint32_t owner(uint64_t time) const { return owners[time - start_time]; }
};

inline ThreadRun& run_of(weft_sim::Thread* thread) { return *static_cast<ThreadRun*>(thread); }
inline MemoryBuffer& memory_of(weft_sim::Buffer* buffer) { return *static_cast<MemoryBuffer*>(buffer); }
inline Stamp stamp_of(const ThreadRun& thread, uint32_t place, bool atomic = false, bool in_flight = false) {
  return Stamp(thread.run->time, static_cast<uint32_t>(thread.index), place, atomic, in_flight);
}

// Suspends a thread that waits for others, and makes them ready to go on.
void wait(ThreadRun& thread, ThreadState state, const char* what, const weft_sim::Place* place);
void wake(ThreadRun& thread);
// Lets others run first, now and then.
void yield_sometimes(ThreadRun& thread);

// Every primitive counts as a step.
void watch(ThreadRun& thread, const weft_sim::Place* place);
inline void step(ThreadRun& thread, const weft_sim::Place* place) {
  if (--thread.run->launch->steps_left == 0) watch(thread, place);
}

}  // namespace weft::cuda::sim
