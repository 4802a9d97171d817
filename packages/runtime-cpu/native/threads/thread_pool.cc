// The waiting and waking behind thread_pool.h.
#include "thread_pool.h"

#include <sched.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <system_error>

namespace weft::cpu {

namespace {

// Longer than the steps of a plan usually differ between threads, shorter than anybody notices as load.
constexpr int spin_microseconds = 50;

void pause_processor() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Waits until `value` is no longer `old`: spins, then parks in the kernel. Time is asked for now and then only: one
// pause takes 10 to 140 cycles, by processor.
void await_change(const std::atomic<int>& value, int old, int spin) noexcept {
  if (spin > 0) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(spin);
    do {
      for (int i = 0; i < 32; ++i) {
        if (value.load(std::memory_order_acquire) != old) return;
        pause_processor();
      }
    } while (std::chrono::steady_clock::now() < end);
  }
  while (value.load(std::memory_order_acquire) == old) value.wait(old, std::memory_order_acquire);
}

int available_processors() noexcept {
#if defined(__linux__)
  cpu_set_t set;  // what this process may use, which a container may have cut down
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
  return static_cast<int>(std::thread::hardware_concurrency());
}

}  // namespace

void Barrier::wait() noexcept {
  if (members_ == 1) return;
  const int generation = generation_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == members_) {
    arrived_.store(0, std::memory_order_relaxed);
    generation_.store(static_cast<int>(static_cast<unsigned>(generation) + 1u), std::memory_order_release);
    generation_.notify_all();
    return;
  }
  await_change(generation_, generation, spin_);
}

static int checked_thread_count(int threads) {
  if (threads < 1 || threads > ThreadPool::max_threads)
    throw std::invalid_argument("[threads] the number of threads must be 1 to " + std::to_string(ThreadPool::max_threads) +
                                "; got " + std::to_string(threads));
  return threads;
}

ThreadPool::ThreadPool(int threads)
    : size_(checked_thread_count(threads)),
      spin_(size_ > available_processors() ? 0 : spin_microseconds),
      barrier_(size_, spin_),
      finish_(size_, spin_) {
  threads_.reserve(static_cast<size_t>(size_ - 1));
  try {
    for (int thread = 1; thread < size_; ++thread) threads_.emplace_back([this, thread] { work(thread); });
  } catch (const std::system_error& error) {
    const size_t started = threads_.size();
    stop();
    throw std::runtime_error("[threads] the system refused to start thread " + std::to_string(started + 1) + " of " +
                             std::to_string(size_ - 1) + " (" + error.what() + "); ask for fewer threads");
  }
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::stop() noexcept {
  region_ = nullptr;  // tells the threads to leave
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void ThreadPool::start(Region region, void* context) noexcept {
  if (size_ == 1) return region(context, 0);
  region_ = region;
  context_ = context;
  epoch_.fetch_add(1, std::memory_order_release);
  epoch_.notify_all();
  region(context, 0);
  // Nobody reads region_ or context_ after this barrier, so the next region may overwrite them.
  finish_.wait();
}

void ThreadPool::work(int thread) noexcept {
  int epoch = 0;
  for (;;) {
    await_change(epoch_, epoch, spin_);
    epoch = static_cast<int>(static_cast<unsigned>(epoch) + 1u);
    if (region_ == nullptr) return;
    region_(context_, thread);
    finish_.wait();
  }
}

}  // namespace weft::cpu
