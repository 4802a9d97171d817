// Mistakes of kernels, in words: what happened, both parties, and where. A function here only writes the words and
// returns; the caller then ends the launch with `abandon`, and owns nothing at that moment, for its stack is dropped.
#pragma once

#include "run.h"

namespace weft::cuda::sim {

inline constexpr Status illegal_address = 700, launch_timeout = 702, misaligned_address = 716, launch_failed = 719;

// Sets the outcome of the launch, unless it has one: `what` happened in the thread at the place.
void fail(ThreadRun& thread, const weft_sim::Place* place, Status status, std::string what);
// The same for the launch as a whole.
void fail(LaunchRun& launch, Status status, std::string what);
// Gives the suspicion of an unwritten read as the outcome, if there is one; else what is passed.
void fail_or_confirm(LaunchRun& launch, Status status, std::string what);
// Leaves the thread for good.
[[noreturn]] void abandon(ThreadRun& thread);

enum class Conflict { write_after_write, write_after_read, read_after_write };

void fail_race(ThreadRun& thread, const MemoryBuffer& buffer, uint64_t offset, Conflict conflict, Stamp earlier,
               const weft_sim::Place* place);
void fail_in_flight(ThreadRun& thread, const MemoryBuffer& buffer, uint64_t offset, bool write, Stamp copy,
                    const weft_sim::Place* place);
// Holds the thread until the launch has ended or somebody else's write shows the read to be a race.
void suspect_unwritten(ThreadRun& thread, const MemoryBuffer& buffer, uint64_t offset, unsigned bytes,
                       const weft_sim::Place* place);
void fail_stale(ThreadRun& thread, const MemoryBuffer& buffer, uint64_t offset, Stamp earlier,
                const weft_sim::Place* place);
void fail_access(ThreadRun& thread, const MemoryBuffer* buffer, const weft_sim::Attempt& attempt,
                 const weft_sim::Place* place);

std::string text_of(const LaunchRun& launch, const weft_sim::Place* place);
// "thread 3", with its block where there are several.
std::string text_of(const LaunchRun& launch, uint32_t block, uint32_t thread);
// Who accessed, and where.
std::string text_of(const ThreadRun& thread, const MemoryBuffer& buffer, Stamp stamp);

}  // namespace weft::cuda::sim
