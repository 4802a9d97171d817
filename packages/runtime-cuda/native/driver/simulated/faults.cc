#include "faults.h"

#include "memory.h"

namespace weft::cuda::sim {

namespace {

std::string number(uint64_t value) { return std::to_string(value); }

std::string hexadecimal(uint64_t value) {
  static const char digits[] = "0123456789abcdef";
  std::string text;
  do text.insert(text.begin(), digits[value % 16]);
  while ((value /= 16) != 0);
  return "0x" + text;
}

std::string location(const MemoryBuffer& buffer, uint64_t offset) {
  if (buffer.shared) return "byte " + number(offset) + " of shared memory";
  return "byte " + number(offset) + " of the allocation of " + number(buffer.bytes) + " bytes at " +
         hexadecimal(reinterpret_cast<uint64_t>(buffer.base));
}

std::string missing_order(const ThreadRun& thread, const MemoryBuffer& buffer, Stamp earlier) {
  const LaunchRun& launch = *thread.run->launch;
  if (!buffer.shared && !launch.ours(earlier.time())) return "without wait_for_inputs";
  if (!buffer.shared && launch.owner(earlier.time()) != thread.run->number)
    return "and nothing orders the two: that takes fence_device and atomic_add there, and atomic_add here";
  const bool same_warp = earlier.thread() / 32 == static_cast<uint32_t>(thread.index) / 32;
  return same_warp ? "with neither sync_block nor sync_warp between" : "with no sync_block between";
}

std::string in_thread(const ThreadRun& thread, const weft_sim::Place* place, const std::string& what) {
  return "block " + number(thread.run->number) + ", thread " + number(static_cast<uint64_t>(thread.index)) + " at " +
         text_of(*thread.run->launch, place) + ": " + what;
}

}  // namespace

void fail(LaunchRun& launch, Status status, std::string what) {
  if (launch.failed) return;
  launch.failed = true;
  launch.status = status;
  launch.details = launch.label + ": " + what + " (simulated with seed " + number(launch.options->seed) + ")";
}

void fail_or_confirm(LaunchRun& launch, Status status, std::string what) {
  if (launch.suspected != success) fail(launch, launch.suspected, launch.suspicion);
  else fail(launch, status, std::move(what));
}

void fail(ThreadRun& thread, const weft_sim::Place* place, Status status, std::string what) {
  fail(*thread.run->launch, status, in_thread(thread, place, what));
}

void abandon(ThreadRun& thread) { thread.fiber.leave(); }

std::string text_of(const LaunchRun& launch, const weft_sim::Place* place) {
  return launch.places->text(launch.places->of(place));
}

std::string text_of(const LaunchRun& launch, uint32_t block, uint32_t thread) {
  return (launch.blocks > 1 ? "block " + number(block) + ", " : "") + "thread " + number(thread);
}

std::string text_of(const ThreadRun& thread, const MemoryBuffer& buffer, Stamp stamp) {
  const LaunchRun& launch = *thread.run->launch;
  const std::string place = " at " + launch.places->text(stamp.place());
  if (!buffer.shared && !launch.ours(stamp.time())) return "an earlier launch" + place;
  return text_of(launch, buffer.shared ? thread.run->number : launch.owner(stamp.time()), stamp.thread()) + place;
}

void fail_race(ThreadRun& thread, const MemoryBuffer& buffer, uint64_t offset, Conflict conflict, Stamp earlier,
               const weft_sim::Place* place) {
  const char* now = conflict == Conflict::read_after_write ? "reads " : "writes ";
  const char* before = conflict == Conflict::write_after_read ? " read, " : " wrote, ";
  fail(thread, place, launch_failed,
       "race: " + (now + location(buffer, offset)) + ", which " + text_of(thread, buffer, earlier) + before +
           missing_order(thread, buffer, earlier));
}

void fail_in_flight(ThreadRun& thread, const MemoryBuffer& buffer, uint64_t offset, bool write, Stamp copy,
                    const weft_sim::Place* place) {
  fail(thread, place, launch_failed,
       (write ? "writes " : "reads ") + location(buffer, offset) + " while the asynchronous copy of " +
           text_of(thread, buffer, copy) + " is under way: that thread has not called wait_copies for it");
}

void suspect_unwritten(ThreadRun& thread, const MemoryBuffer& buffer, uint64_t offset, unsigned bytes,
                       const weft_sim::Place* place) {
  LaunchRun& launch = *thread.run->launch;
  if (launch.suspected == success) {
    launch.suspected = launch_failed;
    launch.suspicion = in_thread(thread, place,
                                 "reads " + number(bytes) + " bytes from " + location(buffer, offset) +
                                     ", where nothing was written");
  }
  wait(thread, ThreadState::suspected, "a read of what nothing was written to", place);
}

void fail_stale(ThreadRun& thread, const MemoryBuffer& buffer, uint64_t offset, Stamp earlier,
                const weft_sim::Place* place) {
  fail(thread, place, launch_failed,
       "reads " + location(buffer, offset) + ", which " + text_of(thread, buffer, earlier) +
           " wrote, possibly from a stale L1 cache: that takes load_fresh");
}

void fail_access(ThreadRun& thread, const MemoryBuffer* buffer, const weft_sim::Attempt& attempt,
                 const weft_sim::Place* place) {
  const std::string what = std::string(attempt.access == weft_sim::Access::read ? "load" : "store") + " of " +
                           number(attempt.bytes) + " bytes at element " + std::to_string(attempt.index);
  const std::string view = "a view of " + number(attempt.view_bytes / attempt.element_bytes) + " elements of " +
                           number(attempt.element_bytes) + " bytes" +
                           (buffer == nullptr ? std::string(" without memory")
                                              : ", from " + location(*buffer, attempt.view_offset));
  const uint64_t at = static_cast<uint64_t>(attempt.index) * attempt.element_bytes;
  const bool outside = attempt.index < 0 || at + attempt.bytes > attempt.view_bytes;
  fail(thread, place, outside ? illegal_address : misaligned_address,
       (outside ? "out of bounds: " : "misaligned: ") + what + " of " + view);
}

}  // namespace weft::cuda::sim
