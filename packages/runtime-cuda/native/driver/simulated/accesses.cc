// Loads, stores and atomics: every byte was written before it is read, and conflicting accesses are ordered.
#include "faults.h"
#include "memory.h"
#include "order.h"
#include "primitives.h"

namespace weft::cuda::sim {

using weft_sim::Buffer;
using weft_sim::Place;
using weft_sim::Thread;

void check_read(ThreadRun& thread, MemoryBuffer& buffer, uint64_t offset, unsigned bytes, bool fresh,
                const Place* place) {
  const LaunchRun& launch = *thread.run->launch;
  const Stamp read = stamp_of(thread, launch.places->of(place));
  const Shadow::Span span = buffer.shadow.span(offset, bytes);
  for (size_t i = 0; i < span.count; ++i) {
    Record& record = span.first[i];
    const Stamp write = record.write;
    const uint64_t at = offset + i * span.step;
    if (write.none()) {
      note_read(thread, buffer, at, record, read);
      suspect_unwritten(thread, buffer, at, bytes, place);
    }
    if (write.in_flight()) {
      fail_in_flight(thread, buffer, at, false, write, place);
      abandon(thread);
    }
    if (!ordered(thread, buffer, at, write)) {
      fail_race(thread, buffer, at, Conflict::read_after_write, write, place);
      abandon(thread);
    }
    if (!fresh && !buffer.shared && !write.is_host() && launch.ours(write.time()) &&
        launch.owner(write.time()) != thread.run->number) {
      fail_stale(thread, buffer, at, write, place);
      abandon(thread);
    }
    note_read(thread, buffer, at, record, read);
  }
}

void check_write(ThreadRun& thread, MemoryBuffer& buffer, uint64_t offset, unsigned bytes, Stamp write,
                 const Place* place) {
  const Shadow::Span span = buffer.shadow.span(offset, bytes);
  for (size_t i = 0; i < span.count; ++i) {
    Record& record = span.first[i];
    const uint64_t at = offset + i * span.step;
    const Stamp before = record.write;
    if (before.in_flight()) {
      fail_in_flight(thread, buffer, at, true, before, place);
      abandon(thread);
    }
    if (!(write.atomic() && before.atomic()) && !ordered(thread, buffer, at, before)) {
      fail_race(thread, buffer, at, Conflict::write_after_write, before, place);
      abandon(thread);
    }
    for (const Stamp earlier : record.reads) {
      if (ordered(thread, buffer, at, earlier)) continue;
      fail_race(thread, buffer, at, Conflict::write_after_read, earlier, place);
      abandon(thread);
    }
    record = {write, {}};
  }
}

namespace {

Buffer* find_buffer(Thread* thread, const void* data, unsigned long long bytes, const Place* place) {
  ThreadRun& run = run_of(thread);
  if (data == nullptr && bytes == 0) return nullptr;
  MemoryBuffer* buffer = run.run->launch->memory->find(reinterpret_cast<DevicePointer>(data), bytes);
  if (buffer == nullptr) {
    fail(run, place, illegal_address,
         "a slot of " + std::to_string(bytes) + " bytes is not part of any allocation of the device");
    abandon(run);
  }
  return buffer;
}

void refuse_access(Thread* thread, Buffer* buffer, const weft_sim::Attempt* attempt, const Place* place) {
  ThreadRun& run = run_of(thread);
  fail_access(run, buffer == nullptr ? nullptr : &memory_of(buffer), *attempt, place);
  abandon(run);
}

void describe_shared(ThreadRun& run, int offset, unsigned long long bytes, const Place* place) {
  fail(run, place, offset % 16 != 0 ? misaligned_address : illegal_address,
       "shared_at: " + std::to_string(bytes) + " bytes at offset " + std::to_string(offset) + " of " +
           std::to_string(run.shared->bytes) + " bytes of shared memory" +
           (offset % 16 != 0 ? ": the offset is no multiple of 16" : ""));
}

void refuse_shared(Thread* thread, int offset, unsigned long long bytes, const Place* place) {
  describe_shared(run_of(thread), offset, bytes, place);
  abandon(run_of(thread));
}

void read(Thread* thread, Buffer* buffer, unsigned long long offset, unsigned bytes, const Place* place) {
  ThreadRun& run = run_of(thread);
  step(run, place);
  check_read(run, memory_of(buffer), offset, bytes, false, place);
}

void read_fresh(Thread* thread, Buffer* buffer, unsigned long long offset, unsigned bytes, const Place* place) {
  ThreadRun& run = run_of(thread);
  step(run, place);
  yield_sometimes(run);
  check_read(run, memory_of(buffer), offset, bytes, true, place);
}

void write(Thread* thread, Buffer* buffer, unsigned long long offset, unsigned bytes, const Place* place) {
  ThreadRun& run = run_of(thread);
  step(run, place);
  check_write(run, memory_of(buffer), offset, bytes, stamp_of(run, run.run->launch->places->of(place)), place);
}

unsigned atomic_add(Thread* thread, Buffer* buffer, unsigned long long offset, unsigned value, const Place* place) {
  ThreadRun& run = run_of(thread);
  step(run, place);
  yield_sometimes(run);
  MemoryBuffer& memory = memory_of(buffer);
  const Shadow::Span span = memory.shadow.span(offset, sizeof(unsigned));
  for (size_t i = 0; i < span.count; ++i) {
    if (!span.first[i].write.none()) continue;
    suspect_unwritten(run, memory, offset + i * span.step, sizeof(unsigned), place);
  }
  const Stamp stamp = stamp_of(run, run.run->launch->places->of(place), true);
  check_write(run, memory, offset, sizeof(unsigned), stamp, place);
  meet_in_cell(run, reinterpret_cast<uint64_t>(memory.base) + offset);
  unsigned before;
  std::memcpy(&before, memory.base + offset, sizeof(before));
  const unsigned after = before + value;
  std::memcpy(memory.base + offset, &after, sizeof(after));
  return before;
}

void fence_device(Thread* thread, const Place* place) {
  ThreadRun& run = run_of(thread);
  step(run, place);
  // What comes after the fence is later than it.
  const uint64_t time = run.run->launch->tick(*run.run);
  run.fence = {time, run.run->barrier_time, run.warp->sync_time};
  run.run->fenced = true;
}

void wait_for_inputs(Thread* thread, const Place* place) {
  ThreadRun& run = run_of(thread);
  step(run, place);
  run.inputs_ready = true;
  run.run->waited_for_inputs = true;
}

}  // namespace

void add_accesses(weft_sim::Table& table) {
  table.find_buffer = find_buffer;
  table.refuse_access = refuse_access;
  table.refuse_shared = refuse_shared;
  table.read = read;
  table.read_fresh = read_fresh;
  table.write = write;
  table.atomic_add = atomic_add;
  table.fence_device = fence_device;
  table.wait_for_inputs = wait_for_inputs;
}

}  // namespace weft::cuda::sim
