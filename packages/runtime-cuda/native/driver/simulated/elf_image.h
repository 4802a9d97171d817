// Whether bytes are a whole shared object. The system's loader believes what a file says of itself: mapping a truncated
// one ends the process.
#pragma once

#include <cstddef>
#include <string>

namespace weft::cuda::sim {

bool is_whole_image(const void* image, size_t bytes, std::string& reason);

}  // namespace weft::cuda::sim
