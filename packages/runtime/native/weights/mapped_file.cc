#include "weights/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "error.h"

namespace weft {

MappedFile::MappedFile(const std::string& path) {
  const auto refuse = [&](const char* action) {
    const int cause = errno;
    throw Error("[weights] cannot " + std::string(action) + " " + path + " (" + std::strerror(cause) + ")");
  };
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) refuse("open");
  struct stat status {};
  const bool known = fstat(file, &status) == 0;
  if (known && S_ISREG(status.st_mode) && status.st_size > 0) {
    bytes_ = static_cast<size_t>(status.st_size);
    void* mapping = mmap(nullptr, bytes_, PROT_READ, MAP_SHARED, file, 0);
    if (mapping == MAP_FAILED) {
      close(file);
      refuse("map");
    }
    data_ = static_cast<char*>(mapping);
#ifdef MADV_HUGEPAGE
    madvise(mapping, bytes_, MADV_HUGEPAGE);
#endif
    // Read ahead of the first touch; weights are read from end to end anyway.
    madvise(mapping, bytes_, MADV_WILLNEED);
  }
  close(file);
  if (!known || !S_ISREG(status.st_mode)) throw Error("[weights] " + path + " is not a regular file");
}

MappedFile::~MappedFile() {
  if (data_) munmap(data_, bytes_);
}

void MappedFile::release(const char* begin, size_t bytes) const noexcept {
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t first = (reinterpret_cast<uintptr_t>(begin) + page - 1) / page * page;
  const uintptr_t last = (reinterpret_cast<uintptr_t>(begin) + bytes) / page * page;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

}  // namespace weft
