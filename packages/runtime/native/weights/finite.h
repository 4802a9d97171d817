// The search for NaN and infinity in weights.
#pragma once

#include <cstddef>

#include "plan_generated.h"

namespace weft {

inline constexpr size_t no_index = static_cast<size_t>(-1);

// The flat index of the first element that is not finite, or no_index. `data` needs no alignment. i32: no_index.
size_t first_not_finite(const char* data, plan::PlanDtype dtype, size_t count);

// "NaN", "inf" or "-inf": what the element at that index is.
const char* name_of_not_finite(const char* data, plan::PlanDtype dtype, size_t index);

}  // namespace weft
