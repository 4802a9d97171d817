#include "loaded/dropped_positions.h"

#include "error.h"
#include "validate.h"

namespace weft {

std::vector<DroppedPositions> dropped_positions(const plan::Plan& plan, size_t axis, int64_t count) {
  std::vector<DroppedPositions> result;
  for (const plan::PlanBuffer& buffer : plan.buffers) {
    if (buffer.class_ != plan::BufferClass::state || buffer.shape.size() <= axis) continue;
    if (count > buffer.shape[axis])
      throw Error("cannot drop " + std::to_string(count) + " positions of " + buffer.name + ", which has " +
                  std::to_string(buffer.shape[axis]));
    size_t outer = 1, inner = static_cast<size_t>(plan::element_bytes(buffer.dtype));
    for (size_t i = 0; i < buffer.shape.size(); ++i)
      if (i != axis) (i < axis ? outer : inner) *= static_cast<size_t>(buffer.shape[i]);
    result.push_back({static_cast<size_t>(buffer.offset), outer, inner * static_cast<size_t>(buffer.shape[axis]),
                      inner * static_cast<size_t>(count)});
  }
  return result;
}

}  // namespace weft
