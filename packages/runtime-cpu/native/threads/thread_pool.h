// A team of threads that run one function together, and the barrier between their steps.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

namespace weft::cpu {

// All members call wait(); none returns before the last has arrived. Reusable at once.
// Waiters spin for `spin` microseconds, then park in the kernel.
class Barrier {
 public:
  Barrier(int members, int spin) : members_(members), spin_(spin) {}
  Barrier(const Barrier&) = delete;
  Barrier& operator=(const Barrier&) = delete;
  void wait() noexcept;

 private:
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<int> generation_{0};
  int members_;
  int spin_;
};

// Hands out ranges of [0, count) to whoever asks first. reset() only while nobody takes (before a barrier).
class WorkCounter {
 public:
  void reset() noexcept { next_.store(0, std::memory_order_relaxed); }
  // Takes the next at most `grain` items; false when nothing is left.
  bool take(size_t count, size_t grain, size_t& begin, size_t& end) noexcept {
    begin = next_.fetch_add(grain, std::memory_order_relaxed);
    if (begin >= count) return false;
    end = begin + grain < count ? begin + grain : count;
    return true;
  }
  // Takes many items while many are left and few at the end: long runs for each of `members`, who finish together.
  bool take_guided(size_t count, size_t members, size_t most, size_t& begin, size_t& end) noexcept {
    begin = next_.load(std::memory_order_relaxed);
    do {
      if (begin >= count) return false;
      const size_t share = (count - begin) / (2 * members);
      end = begin + (share < 1 ? 1 : share < most ? share : most);
    } while (!next_.compare_exchange_weak(begin, end, std::memory_order_relaxed));
    return true;
  }

 private:
  alignas(64) std::atomic<size_t> next_{0};
};

// N - 1 persistent threads and the caller. One region runs at a time: run() and parallel_for() are called by one
// thread at a time and never from inside a region. Functions given to them must be noexcept (checked by the types).
class ThreadPool {
 public:
  static constexpr int max_threads = 1024;

  // Throws std::invalid_argument unless 1 <= threads <= max_threads, std::runtime_error if the system refuses to
  // start them. With more threads than processors nobody spins.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const noexcept { return size_; }

  // Team mode: every thread calls function(thread_index), the caller with index 0; returns when all have returned.
  // Inside, the members may meet at barrier() any number of times, all of them equally often.
  template <class Function>
  void run(Function&& function) noexcept {
    static_assert(std::is_nothrow_invocable_v<Function&, int>, "the region's function must be noexcept");
    using Body = std::remove_reference_t<Function>;
    start([](void* context, int thread) noexcept { (*static_cast<Body*>(context))(thread); },
          const_cast<void*>(static_cast<const void*>(&function)));
  }
  void barrier() noexcept { barrier_.wait(); }

  // Calls function(begin, end, thread_index) over [0, count) in pieces of at most `grain`, first come first served.
  template <class Function>
  void parallel_for(size_t count, size_t grain, Function&& function) noexcept {
    static_assert(std::is_nothrow_invocable_v<Function&, size_t, size_t, int>, "the body must be noexcept");
    if (size_ == 1 || count <= grain) {
      if (count > 0) function(size_t{0}, count, 0);
      return;
    }
    work_.reset();
    run([&](int thread) noexcept {
      size_t begin, end;
      while (work_.take(count, grain, begin, end)) function(begin, end, thread);
    });
  }

  // As parallel_for, but thread t always gets the t-th of size() nearly equal parts.
  template <class Function>
  void parallel_for_static(size_t count, Function&& function) noexcept {
    static_assert(std::is_nothrow_invocable_v<Function&, size_t, size_t, int>, "the body must be noexcept");
    run([&](int thread) noexcept {
      const size_t threads = static_cast<size_t>(size_), index = static_cast<size_t>(thread);
      const size_t begin = count / threads * index + (index < count % threads ? index : count % threads);
      const size_t end = begin + count / threads + (index < count % threads ? 1 : 0);
      if (begin < end) function(begin, end, thread);
    });
  }

 private:
  using Region = void (*)(void* context, int thread) noexcept;
  void start(Region region, void* context) noexcept;
  void work(int thread) noexcept;
  void stop() noexcept;

  int size_;
  int spin_;
  Region region_ = nullptr;
  void* context_ = nullptr;
  alignas(64) std::atomic<int> epoch_{0};
  Barrier barrier_;
  Barrier finish_;
  WorkCounter work_;
  std::vector<std::thread> threads_;
};

}  // namespace weft::cpu
