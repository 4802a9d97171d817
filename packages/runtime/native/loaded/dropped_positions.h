// What `shiftState` moves.
#pragma once

#include <cstddef>
#include <vector>

#include "plan_generated.h"

namespace weft {

// `outer` pieces of `whole` bytes from byte `offset` of the state on; the first `dropped` bytes of each go.
struct DroppedPositions {
  size_t offset = 0;
  size_t outer = 0;
  size_t whole = 0;
  size_t dropped = 0;
};

// By state buffer that has the axis. Throws Error when one has fewer than `count` positions.
std::vector<DroppedPositions> dropped_positions(const plan::Plan& plan, size_t axis, int64_t count);

}  // namespace weft
