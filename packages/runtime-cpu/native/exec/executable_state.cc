// Operations on the state arena.
#include <algorithm>
#include <cstring>

#include "exec/executable.h"
#include "loaded/cached_states.h"

namespace weft::cpu {
namespace {

constexpr size_t piece_bytes = size_t{4} << 20;

}  // namespace

void Executable::save_state(size_t begin, size_t bytes, char* to) { std::memcpy(to, state_.data() + begin, bytes); }

void Executable::restore_state(size_t begin, size_t bytes, const char* from) {
  std::memcpy(state_.data() + begin, from, bytes);
}

void Executable::reset_state() {
  const size_t bytes = state_.bytes();
  char* data = state_.data();
  pool_->parallel_for((bytes + piece_bytes - 1) / piece_bytes, 1, [&](size_t begin, size_t end, int) noexcept {
    std::memset(data + begin * piece_bytes, 0, std::min(bytes, end * piece_bytes) - begin * piece_bytes);
  });
}

void Executable::shift_state(int64_t count) {
  for (const DroppedPositions& positions : dropped_positions(plan(), count)) {
    char* data = state_.data() + positions.offset;
    pool_->parallel_for(positions.outer, 1, [&](size_t begin, size_t end, int) noexcept {
      const size_t whole = positions.whole, dropped = positions.dropped;
      for (size_t i = begin; i < end; ++i) {
        std::memmove(data + i * whole, data + i * whole + dropped, whole - dropped);
        std::memset(data + (i + 1) * whole - dropped, 0, dropped);
      }
    });
  }
}

}  // namespace weft::cpu
