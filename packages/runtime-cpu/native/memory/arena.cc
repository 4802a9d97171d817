#include "arena.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "error.h"

namespace weft::cpu {

constexpr size_t huge_page_bytes = size_t{2} << 20;

Arena::Arena(size_t bytes, const char* what) {
  if (bytes == 0) return;
  void* mapping = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED)
    throw Error("[memory] the system refused " + std::to_string(bytes) + " bytes for " + what + " (" +
                std::strerror(errno) + ")");
#ifdef MADV_HUGEPAGE
  if (bytes >= 2 * huge_page_bytes) madvise(mapping, bytes, MADV_HUGEPAGE);
#endif
  data_ = static_cast<char*>(mapping);
  bytes_ = bytes;
}

Arena::~Arena() {
  if (data_) munmap(data_, bytes_);
}

}  // namespace weft::cpu
