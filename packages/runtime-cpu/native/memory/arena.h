// Memory of one class: one anonymous mapping, zero-filled, given back as a whole.
#pragma once

#include <cstddef>
#include <utility>

namespace weft::cpu {

// Offsets inside arenas are multiples of this, which is what kernels need and keeps neighbours off a cache line.
inline constexpr size_t arena_alignment = 256;

inline constexpr size_t aligned_size(size_t bytes) {
  return (bytes + arena_alignment - 1) / arena_alignment * arena_alignment;
}

class Arena {
 public:
  Arena() = default;
  // Throws Error with `what` and the size when the system has no such memory. Asks for huge pages where they help.
  Arena(size_t bytes, const char* what);
  Arena(Arena&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  Arena& operator=(Arena&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Arena();

  char* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  char* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace weft::cpu
