// A file mapped read-only. Its pages are shared with every other process that maps it and with the page cache.
#pragma once

#include <cstddef>
#include <string>

namespace weft {

class MappedFile {
 public:
  // Throws Error naming the file when it cannot be opened or mapped.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const char* data() const { return data_; }
  size_t bytes() const { return bytes_; }

  // The pages within are no longer held in memory for this process; touched again, they are read again.
  void release(const char* begin, size_t bytes) const noexcept;

 private:
  char* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace weft
