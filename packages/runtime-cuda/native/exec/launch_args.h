// The host's twin of `Args<slots>` in packages/compiler/cuda/types.cuh: the bytes of a kernel's one parameter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "driver/driver.h"

namespace weft::cuda {

// A buffer in device memory.
struct DeviceSlot {
  DevicePointer data = 0;
  uint64_t bytes = 0;
};
static_assert(sizeof(DeviceSlot) == 16);

class LaunchArgs {
 public:
  LaunchArgs(DeviceSlot symbols, DeviceSlot scratch, DeviceSlot tickets, DeviceSlot fault, int64_t step,
             int64_t piece, const std::vector<DeviceSlot>& slots)
      : bytes_(first_slot + slots.size() * sizeof(DeviceSlot)) {
    put(0, symbols);
    put(sizeof(DeviceSlot), scratch);
    put(2 * sizeof(DeviceSlot), tickets);
    put(3 * sizeof(DeviceSlot), fault);
    put(step_at, step);
    put(piece_at, piece);
    for (size_t i = 0; i < slots.size(); ++i) put(first_slot + i * sizeof(DeviceSlot), slots[i]);
  }

  void set_blocks(int64_t blocks) { put(blocks_at, blocks); }
  const void* data() const { return bytes_.data(); }
  size_t size() const { return bytes_.size(); }

 private:
  static constexpr size_t step_at = 4 * sizeof(DeviceSlot);
  static constexpr size_t piece_at = step_at + sizeof(int64_t);
  static constexpr size_t blocks_at = piece_at + sizeof(int64_t);
  static constexpr size_t first_slot = blocks_at + sizeof(int64_t);

  template <class T>
  void put(size_t offset, const T& value) {
    std::memcpy(bytes_.data() + offset, &value, sizeof value);
  }

  std::vector<std::byte> bytes_;
};

}  // namespace weft::cuda
