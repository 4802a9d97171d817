#include "order.h"

#include <algorithm>

namespace weft::cuda::sim {

namespace {

// What this thread may know of an operation that another thread of its block saw: a barrier lies between.
bool knows(const ThreadRun& thread, const Acquired& acquired) {
  return acquired.thread == static_cast<uint32_t>(thread.index) || acquired.time < thread.run->barrier_time ||
         (acquired.thread / 32 == static_cast<uint32_t>(thread.index) / 32 && acquired.time < thread.warp->sync_time);
}

bool published(const ThreadRun& thread, const MemoryBuffer& buffer, uint64_t offset, uint32_t block, Stamp earlier) {
  const AtomicCell* own_cell = nullptr;
  if (earlier.atomic()) {
    const auto cell = thread.run->launch->cells.find(reinterpret_cast<uint64_t>(buffer.base) + offset);
    if (cell != thread.run->launch->cells.end()) own_cell = &cell->second;
  }
  for (const Acquired& acquired : thread.run->acquired) {
    if (!knows(thread, acquired)) continue;
    const auto entries = acquired.cell->by_block.find(block);
    if (entries == acquired.cell->by_block.end()) continue;
    for (const AtomicCell::Entry& entry : entries->second) {
      if (entry.number >= acquired.count) break;
      // Operations on one counter are ordered among themselves without any fence.
      if (acquired.cell == own_cell && entry.publication.time >= earlier.time()) return true;
      if (entry.publication.covers(earlier)) return true;
    }
  }
  return false;
}

// How much keeps two threads apart: nothing but their warp's sync, a barrier, or more.
int distance(const LaunchRun& launch, const MemoryBuffer& buffer, Stamp a, Stamp b) {
  if (!buffer.shared && launch.owner(a.time()) != launch.owner(b.time())) return 2;
  return a.thread() / 32 == b.thread() / 32 ? 0 : 1;
}

}  // namespace

bool ordered(const ThreadRun& thread, const MemoryBuffer& buffer, uint64_t offset, Stamp earlier) {
  if (earlier.none() || earlier.is_host()) return true;
  const uint64_t time = earlier.time();
  const BlockRun& block = *thread.run;
  if (!buffer.shared) {
    const LaunchRun& launch = *block.launch;
    if (!launch.ours(time)) return thread.inputs_ready || time < launch.unsafe_from;
    const uint32_t owner = launch.owner(time);
    if (owner != block.number) return published(thread, buffer, offset, owner, earlier);
  }
  const uint32_t self = static_cast<uint32_t>(thread.index);
  return earlier.thread() == self || time < block.barrier_time ||
         (earlier.thread() / 32 == self / 32 && time < thread.warp->sync_time);
}

void note_read(const ThreadRun& thread, const MemoryBuffer& buffer, uint64_t offset, Record& record, Stamp read) {
  Stamp& first = record.reads[0];
  Stamp& second = record.reads[1];
  if (first == read || second == read) return;
  if (ordered(thread, buffer, offset, first)) {
    first = read;
    return;
  }
  if (ordered(thread, buffer, offset, second)) {
    second = read;
    return;
  }
  // Whoever writes next is unordered with one of two readers that are far apart, unless it is ordered after all.
  const LaunchRun& launch = *thread.run->launch;
  if (!launch.ours(first.time()) || !launch.ours(second.time())) return;
  if (distance(launch, buffer, first, read) > distance(launch, buffer, first, second)) second = read;
}

void meet_in_cell(ThreadRun& thread, uint64_t address) {
  BlockRun& block = *thread.run;
  AtomicCell& cell = block.launch->cells[address];
  const uint32_t self = static_cast<uint32_t>(thread.index);
  cell.by_block[block.number].push_back({cell.count++, {block.time, self, thread.fence, block.fences_at_barrier}});
  const auto mine = std::find_if(block.acquired.begin(), block.acquired.end(), [&](const Acquired& acquired) {
    return acquired.cell == &cell && acquired.thread == self;
  });
  // Forgetting when it was first seen could take an order away from threads that have passed a barrier since.
  const bool superseded = mine != block.acquired.end() && mine->time >= block.barrier_time;
  if (superseded) *mine = {&cell, cell.count, self, block.time};
  else block.acquired.push_back({&cell, cell.count, self, block.time});
}

}  // namespace weft::cuda::sim
