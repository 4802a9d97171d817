#include "memory.h"

#include <sys/mman.h>

#include <new>

#include "status.h"

namespace weft::cuda::sim {

namespace {

constexpr size_t guard = 64 << 10;
// Larger allocations stay as the system gives them, so that a big model does not take its memory before it is loaded.
// Reads of what nothing was written to are errors either way.
constexpr size_t most_garbage = 64 << 20;

}  // namespace

DeviceMemory::~DeviceMemory() {
  for (auto& [pointer, allocation] : allocations_) munmap(allocation.buffer->base, allocation.mapped);
}

Status DeviceMemory::allocate(DevicePointer& pointer, size_t bytes) {
  pointer = 0;
  if (bytes == 0) return invalid_value;
  // As the driver does, memory is given in multiples of its alignment.
  const size_t taken = (bytes + 255) / 256 * 256;
  if (taken < bytes || taken > total_ - used_) return out_of_memory;
  const size_t mapped = (taken + guard - 1) / guard * guard + guard;
  void* base = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) return out_of_memory;
  mprotect(static_cast<char*>(base) + mapped - guard, guard, PROT_NONE);
  if (bytes <= most_garbage) fill_with_garbage(base, taken);
  try {
    pointer = reinterpret_cast<DevicePointer>(base);
    auto buffer = std::make_unique<MemoryBuffer>(static_cast<unsigned char*>(base), bytes, false);
    allocations_.emplace(pointer, Allocation{std::move(buffer), mapped});
  } catch (const std::bad_alloc&) {
    munmap(base, mapped);
    pointer = 0;
    return out_of_memory;
  }
  used_ += taken;
  return success;
}

Status DeviceMemory::free(DevicePointer pointer) {
  // As in CUDA, freeing nothing is no mistake.
  if (pointer == 0) return success;
  const auto found = allocations_.find(pointer);
  if (found == allocations_.end()) return invalid_value;
  used_ -= (found->second.buffer->bytes + 255) / 256 * 256;
  munmap(found->second.buffer->base, found->second.mapped);
  if (last_found_ == found->second.buffer.get()) last_found_ = nullptr;
  allocations_.erase(found);
  return success;
}

MemoryBuffer* DeviceMemory::find(DevicePointer pointer, size_t bytes) {
  const auto holds = [&](const MemoryBuffer& buffer) {
    const DevicePointer base = reinterpret_cast<DevicePointer>(buffer.base);
    return pointer >= base && pointer - base <= buffer.bytes && bytes <= buffer.bytes - (pointer - base);
  };
  if (last_found_ != nullptr && holds(*last_found_)) return last_found_;
  auto after = allocations_.upper_bound(pointer);
  if (after == allocations_.begin()) return nullptr;
  MemoryBuffer* buffer = std::prev(after)->second.buffer.get();
  if (!holds(*buffer)) return nullptr;
  return last_found_ = buffer;
}

}  // namespace weft::cuda::sim
