// What one thread of the team has at hand while it executes the steps of a program.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "kernels.h"
#include "row/gather_fault.h"
#include "row/row_runner.h"
#include "thread_pool.h"

namespace weft::cpu {

// Shared by the team. Phases are separated by barriers; each phase has one work counter. Two counters take turns: while
// one is in use, thread 0 resets the other, which nobody has touched since the barrier before.
struct TeamState {
  WorkCounter counters[2];
  // Whether to go on after the barrier that ends a phase, decided by thread 0 before it so that all agree.
  std::atomic<bool> halt[2] = {};
  GatherFault fault;
};

class Worker {
 public:
  Worker(ThreadPool& pool, TeamState& team, const KernelTable& kernels, int thread, const int64_t* symbols, char* scratch,
         char* shared, const std::atomic<bool>& stop, bool is_timed)
      : kernels(kernels), symbols(symbols), scratch(scratch), shared(shared), team(team), thread(thread),
        threads(pool.size()), pool_(pool), stop_(stop), is_timed_(is_timed) {}

  const KernelTable& kernels;
  const int64_t* symbols;
  char* scratch;  // of this thread
  char* shared;   // of all threads
  TeamState& team;
  const int thread;
  const int threads;
  int step = 0;

  // Ends a phase: all threads have finished it when any goes on. True if execution should halt, for all alike.
  bool barrier() noexcept {
    const size_t now = phase_ & 1;
    if (thread == 0) {
      team.counters[now ^ 1].reset();
      team.halt[now].store(stop_.load(std::memory_order_relaxed), std::memory_order_relaxed);
    }
    if (is_timed_) timed_barrier();
    else pool_.barrier();
    ++phase_;
    return team.halt[now].load(std::memory_order_relaxed);
  }

  // Nanoseconds at barriers so far; 0 in a run that is not timed.
  int64_t waited() const noexcept { return waited_; }

  // Takes the next at most `grain` of `count` items of this phase; false when nothing is left or the run is stopped.
  bool take(int64_t count, int64_t grain, int64_t& begin, int64_t& end) noexcept {
    if (stop_.load(std::memory_order_relaxed)) return false;
    size_t from, to;
    if (!team.counters[phase_ & 1].take(static_cast<size_t>(count), static_cast<size_t>(grain), from, to)) return false;
    begin = static_cast<int64_t>(from);
    end = static_cast<int64_t>(to);
    return true;
  }

  // As take, but at most `most` items: many while many are left, one by one at the end.
  bool take_run(int64_t count, int64_t most, int64_t& begin, int64_t& end) noexcept {
    if (stop_.load(std::memory_order_relaxed)) return false;
    size_t from, to;
    if (!team.counters[phase_ & 1].take_guided(static_cast<size_t>(count), static_cast<size_t>(threads),
                                               static_cast<size_t>(most), from, to))
      return false;
    begin = static_cast<int64_t>(from);
    end = static_cast<int64_t>(to);
    return true;
  }

 private:
  void timed_barrier() noexcept {
    const auto arrived = std::chrono::steady_clock::now();
    pool_.barrier();
    waited_ += std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - arrived).count();
  }

  ThreadPool& pool_;
  const std::atomic<bool>& stop_;
  size_t phase_ = 0;
  const bool is_timed_;
  int64_t waited_ = 0;
};

}  // namespace weft::cpu
