// FP8 with a scale for each row, by its definition (packages/dsl/src/formats/fp8.ts): codes of E4M3, row after row.
#pragma once

#include <cfloat>
#include <limits>

namespace weft {

// By what the codes of a row are multiplied: its largest magnitude over 448, at least the smallest normal float; 1 for a
// row of zeros, NaN where the magnitude is not finite.
inline float fp8_scale(float amax) {
  if (!(amax <= FLT_MAX)) return std::numeric_limits<float>::quiet_NaN();
  if (amax == 0) return 1;
  const float scale = amax / 448;
  return scale < FLT_MIN ? FLT_MIN : scale;
}

}  // namespace weft
