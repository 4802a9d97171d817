// What reading a plan has left behind.
#pragma once

#include <cstdlib>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace weft {

// Reading a plan's text takes tens of megabytes in small pieces, which the allocator would keep for this process.
inline void return_free_memory() noexcept {
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}

}  // namespace weft
