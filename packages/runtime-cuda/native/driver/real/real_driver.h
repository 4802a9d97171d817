// The driver over libcuda.
#pragma once

#include <memory>

#include "driver/driver.h"

namespace weft::cuda {

// Opens GPU `index` through its primary context. Throws Error when there is no driver (with the places tried), when it
// is too old, when there is no such GPU or it refuses.
std::unique_ptr<Driver> open_real_driver(int index);

}  // namespace weft::cuda
