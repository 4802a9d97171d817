// No allocation after load: in the sanitizers' build, every run counts what its threads allocate and fails unless that
// is nothing. Elsewhere this is empty.
#pragma once

#include "error.h"

#ifdef WEFT_SANITIZE
#include <sanitizer/allocator_interface.h>

#include <atomic>
#include <string>

namespace weft::cpu {

inline thread_local bool is_watched = false;
inline std::atomic<size_t> watched_allocations{0};

inline void count_allocation(const volatile void*, size_t) {
  if (is_watched) watched_allocations.fetch_add(1, std::memory_order_relaxed);
}
inline void ignore_free(const volatile void*) {}

// While it lives, allocations of this thread count.
struct AllocationWatch {
  AllocationWatch() { is_watched = true; }
  ~AllocationWatch() { is_watched = false; }

  static void begin() {
    static const int installed = __sanitizer_install_malloc_and_free_hooks(count_allocation, ignore_free);
    (void)installed;
    watched_allocations = 0;
  }
  static void end() {
    const size_t count = watched_allocations;
    if (count > 0) throw Error("internal: [runtime-cpu] a run made " + std::to_string(count) + " allocations");
  }
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
