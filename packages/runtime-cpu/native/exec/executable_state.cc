// Operations on the state arena as a whole.
#include <algorithm>
#include <cstring>

#include "error.h"
#include "exec/executable.h"

namespace weft::cpu {
namespace {

constexpr size_t piece_bytes = size_t{4} << 20;

}  // namespace

void Executable::reset_state(ThreadPool& pool) {
  const size_t bytes = state_.bytes();
  char* data = state_.data();
  pool.parallel_for((bytes + piece_bytes - 1) / piece_bytes, 1, [&](size_t begin, size_t end, int) noexcept {
    std::memset(data + begin * piece_bytes, 0, std::min(bytes, end * piece_bytes) - begin * piece_bytes);
  });
}

void Executable::drop_oldest(ThreadPool& pool, size_t axis, int64_t count) {
  for (const plan::PlanBuffer& buffer : plan().buffers) {
    if (buffer.class_ != plan::BufferClass::state || buffer.shape.size() <= axis) continue;
    if (count > buffer.shape[axis])
      throw Error("cannot drop " + std::to_string(count) + " positions of " + buffer.name + ", which has " +
                  std::to_string(buffer.shape[axis]));
  }
  for (const plan::PlanBuffer& buffer : plan().buffers) {
    if (buffer.class_ != plan::BufferClass::state || buffer.shape.size() <= axis) continue;
    size_t outer = 1, inner = static_cast<size_t>(plan::element_bytes(buffer.dtype));
    for (size_t i = 0; i < buffer.shape.size(); ++i)
      if (i != axis) (i < axis ? outer : inner) *= static_cast<size_t>(buffer.shape[i]);
    const size_t whole = inner * static_cast<size_t>(buffer.shape[axis]);
    const size_t dropped = inner * static_cast<size_t>(count);
    char* data = state_.data() + buffer.offset;
    pool.parallel_for(outer, 1, [&](size_t begin, size_t end, int) noexcept {
      for (size_t i = begin; i < end; ++i) {
        std::memmove(data + i * whole, data + i * whole + dropped, whole - dropped);
        std::memset(data + (i + 1) * whole - dropped, 0, dropped);
      }
    });
  }
}

}  // namespace weft::cpu
