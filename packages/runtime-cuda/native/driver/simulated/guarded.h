// The frame of every method of the simulated driver.
#pragma once

#include <new>

#include "simulated_driver.h"
#include "status.h"

namespace weft::cuda {

template <typename Body>
Status SimulatedDriver::guarded(Body body) {
  if (lost_ != success) return lost_;
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return sim::out_of_memory;
  }
}

}  // namespace weft::cuda
