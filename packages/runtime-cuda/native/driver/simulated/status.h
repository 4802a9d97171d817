// The CUresults that the simulator gives.
#pragma once

#include <string>

#include "../driver.h"

namespace weft::cuda::sim {

inline constexpr Status invalid_value = 1, out_of_memory = 2, invalid_image = 200, invalid_handle = 400,
                        not_found = 500, capture_unsupported = 900, capture_invalidated = 901,
                        capture_unmatched = 903, illegal_state = 401, not_supported = 801;

// "CUDA_ERROR_OUT_OF_MEMORY (out of memory)".
std::string explain_status(Status status);

}  // namespace weft::cuda::sim
