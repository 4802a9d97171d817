#include "loaded/cached_states.h"

#include "error.h"
#include "validate.h"

namespace weft {

SavedLayout saved_layout(const plan::Plan& plan) {
  SavedLayout layout;
  for (const plan::PlanBuffer& buffer : plan.buffers) {
    if (buffer.positions < 0) continue;
    const size_t begin = static_cast<size_t>(buffer.offset), bytes = static_cast<size_t>(buffer.bytes);
    SavedStretch* last = layout.stretches.empty() ? nullptr : &layout.stretches.back();
    // What lies side by side in both is one stretch: one copy from a device's memory instead of hundreds.
    if (last != nullptr && begin - last->begin == layout.bytes - last->saved && begin > last->begin)
      last->bytes = begin + bytes - last->begin;
    else
      layout.stretches.push_back({begin, bytes, layout.bytes});
    layout.bytes += (bytes + 255) / 256 * 256;
  }
  return layout;
}

std::vector<DroppedPositions> dropped_positions(const plan::Plan& plan, int64_t count) {
  std::vector<DroppedPositions> result;
  for (const plan::PlanBuffer& buffer : plan.buffers) {
    if (buffer.positions < 0) continue;
    const size_t axis = static_cast<size_t>(buffer.positions);
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
