#include "arena.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

#include "error.h"

namespace weft::cpu {

namespace {

[[noreturn]] void refuse(size_t bytes, const char* what, const char* cause) {
  throw Error("[memory] the system refused " + std::to_string(bytes) + " bytes for " + what + " (" + cause + ")");
}

}  // namespace

#ifdef WEFT_SANITIZE

// From the heap, where the address sanitizer sees what goes past the end.
Arena::Arena(size_t bytes, const char* what) {
  if (bytes == 0) return;
  // A mapping as well would be granted lazily; the sanitizer's heap ends the process at sizes that it cannot manage.
  if (bytes > (size_t{1} << 33)) refuse(bytes, what, "too large for the sanitizer");
  if (posix_memalign(reinterpret_cast<void**>(&data_), arena_alignment, bytes) != 0)
    refuse(bytes, what, "out of memory");
  std::memset(data_, 0, bytes);
  bytes_ = bytes;
}

Arena::~Arena() { free(data_); }

#else

constexpr size_t huge_page_bytes = size_t{2} << 20;

Arena::Arena(size_t bytes, const char* what) {
  if (bytes == 0) return;
  void* mapping = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) refuse(bytes, what, std::strerror(errno));
#ifdef MADV_HUGEPAGE
  if (bytes >= 2 * huge_page_bytes) madvise(mapping, bytes, MADV_HUGEPAGE);
#endif
  data_ = static_cast<char*>(mapping);
  bytes_ = bytes;
}

Arena::~Arena() {
  if (data_) munmap(data_, bytes_);
}

#endif

}  // namespace weft::cpu
