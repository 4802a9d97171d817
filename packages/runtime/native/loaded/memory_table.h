// Bytes by purpose: what an executable will take, and what it has taken.
#pragma once

#include <cstddef>
#include <string>

namespace weft {

struct MemoryTable {
  size_t weights_mapped = 0;  // pages of the files themselves
  size_t weights_copied = 0;
  size_t state = 0;
  size_t activations = 0;
  size_t input = 0;
  size_t output = 0;
  size_t scratch_shared = 0;
  size_t scratch_per_thread = 0;
  size_t threads = 0;
  size_t control = 0;  // symbols and counters in a device's own memory
  size_t pinned = 0;   // page-locked memory of the host; no part of the total

  size_t total() const {
    return weights_mapped + weights_copied + state + activations + input + output + scratch_shared +
           scratch_per_thread * threads + control;
  }
  // Lines of a table, largest purposes visible at a glance.
  std::string text() const;
};

}  // namespace weft
