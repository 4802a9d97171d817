// No allocation after load: in the sanitizers' build, every run counts what its threads allocate and fails unless that
// is nothing. Elsewhere this is empty.
#pragma once

#include "error.h"

#ifdef WEFT_SANITIZE
#include <pthread.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <string>

// Of the sanitizers' library; its header is not installed with every compiler.
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void*, size_t),
                                                         void (*on_free)(const volatile void*));

namespace weft::cpu {

// Threads that execute a run. A table, not a thread-local flag: touching one for the first time allocates.
inline std::array<std::atomic<pthread_t>, 4096> watched_threads{};
inline std::atomic<size_t> watched_allocations{0};

inline void count_allocation(const volatile void*, size_t) {
  const pthread_t self = pthread_self();
  for (const std::atomic<pthread_t>& thread : watched_threads)
    if (thread.load(std::memory_order_relaxed) == self) watched_allocations.fetch_add(1, std::memory_order_relaxed);
}
inline void ignore_free(const volatile void*) {}

// While it lives, allocations of this thread count.
class AllocationWatch {
 public:
  AllocationWatch() {
    for (std::atomic<pthread_t>& thread : watched_threads) {
      pthread_t none{};
      if (!thread.compare_exchange_strong(none, pthread_self())) continue;
      place_ = &thread;
      return;
    }
  }
  ~AllocationWatch() {
    if (place_) place_->store(pthread_t{});
  }
  AllocationWatch(const AllocationWatch&) = delete;
  AllocationWatch& operator=(const AllocationWatch&) = delete;

  static void begin() {
    static const int installed = __sanitizer_install_malloc_and_free_hooks(count_allocation, ignore_free);
    (void)installed;
    watched_allocations = 0;
  }
  static void end() {
    const size_t count = watched_allocations;
    if (count > 0) throw Error("internal: [runtime-cpu] a run made " + std::to_string(count) + " allocations");
  }

 private:
  std::atomic<pthread_t>* place_ = nullptr;
};

}  // namespace weft::cpu
#else
namespace weft::cpu {

struct AllocationWatch {
  AllocationWatch() {}
  static void begin() {}
  static void end() {}
};

}  // namespace weft::cpu
#endif
