// cp.async: the bytes move when their thread waits for them, and are nobody's until then.
#include "faults.h"
#include "primitives.h"

namespace weft::cuda::sim {

using weft_sim::Buffer;
using weft_sim::Place;
using weft_sim::Thread;

namespace {

void copy16_async(Thread* thread, unsigned long long to_offset, Buffer* from, unsigned long long from_offset,
                  const Place* place) {
  ThreadRun& run = run_of(thread);
  step(run, place);
  if (from != nullptr) check_read(run, memory_of(from), from_offset, 16, false, place);
  const uint32_t number = run.run->launch->places->of(place);
  check_write(run, memory_of(run.shared), to_offset, 16, stamp_of(run, number, false, true), place);
  // Whoever looks all the same finds nothing useful.
  fill_with_garbage(run.shared->base + to_offset, 16);
  run.copies.push_back({to_offset, from, from_offset, number, run.open_group});
}

void commit_copies(Thread* thread, const Place* place) {
  ThreadRun& run = run_of(thread);
  step(run, place);
  ++run.open_group;
}

void wait_copies(Thread* thread, int pending, const Place* place) {
  ThreadRun& run = run_of(thread);
  step(run, place);
  size_t done = 0;
  for (; done < run.copies.size(); ++done) {
    const AsyncCopy& copy = run.copies[done];
    if (copy.group + static_cast<uint32_t>(pending) >= run.open_group) break;
    unsigned char* to = run.shared->base + copy.to_offset;
    if (copy.from == nullptr) std::memset(to, 0, 16);
    else std::memcpy(to, copy.from->base + copy.from_offset, 16);
    // Written now, by this thread: others may read it after a barrier.
    const Shadow::Span span = memory_of(run.shared).shadow.span(copy.to_offset, 16);
    for (size_t i = 0; i < span.count; ++i) span.first[i] = {stamp_of(run, copy.place), {}};
  }
  run.copies.erase(run.copies.begin(), run.copies.begin() + static_cast<std::ptrdiff_t>(done));
}

}  // namespace

void add_copies(weft_sim::Table& table) {
  table.copy16_async = copy16_async;
  table.commit_copies = commit_copies;
  table.wait_copies = wait_copies;
}

}  // namespace weft::cuda::sim
