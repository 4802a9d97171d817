// The states that hold positions of a context: what `saveState`, `restoreState` and `shiftState` work on.
#pragma once

#include <cstddef>
#include <vector>

#include "plan_generated.h"

namespace weft {

// A stretch of the state's arena, and where it lies in a saved copy.
struct SavedStretch {
  size_t begin = 0;
  size_t bytes = 0;
  size_t saved = 0;
};

// In a saved copy these states stand one behind the other in the plan's order, each at a multiple of 256 bytes.
struct SavedLayout {
  std::vector<SavedStretch> stretches;
  size_t bytes = 0;
};

SavedLayout saved_layout(const plan::Plan& plan);

// `outer` pieces of `whole` bytes from byte `offset` of the state on; the first `dropped` bytes of each go.
struct DroppedPositions {
  size_t offset = 0;
  size_t outer = 0;
  size_t whole = 0;
  size_t dropped = 0;
};

// Throws Error when a state has fewer than `count` positions.
std::vector<DroppedPositions> dropped_positions(const plan::Plan& plan, int64_t count);

}  // namespace weft
