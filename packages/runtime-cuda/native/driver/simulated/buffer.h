// Memory that kernels reach: an allocation of the device, or the shared memory of one block.
#pragma once

#include <cstring>

#include "../../../sim/table.h"
#include "shadow.h"

namespace weft::cuda::sim {

// A signalling NaN as f32 and as bf16, a NaN as f16, and far outside of everything as an index.
inline constexpr uint32_t garbage = 0x7fa57fa5;

inline void fill_with_garbage(void* memory, size_t bytes) {
  char* at = static_cast<char*>(memory);
  for (size_t i = 0; i < bytes; i += sizeof(garbage))
    std::memcpy(at + i, &garbage, bytes - i < sizeof(garbage) ? bytes - i : sizeof(garbage));
}

struct MemoryBuffer : weft_sim::Buffer {
  MemoryBuffer(unsigned char* memory, size_t size, bool is_shared)
      : Buffer{memory, size}, shadow(size), shared(is_shared) {}
  Shadow shadow;
  bool shared;
};

}  // namespace weft::cuda::sim
