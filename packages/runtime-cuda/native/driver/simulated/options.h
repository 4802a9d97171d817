// How a simulated device behaves.
#pragma once

#include <cstddef>
#include <cstdint>

#include "../driver.h"

namespace weft::cuda {

struct SimulatorOptions {
  // Of the order in which threads and blocks run. `from_environment` takes it from WEFT_SIM_SEED.
  uint64_t seed = 1;
  size_t total_bytes = size_t{2} << 30;
  int multiprocessors = 4;
  // 9.0 as 90: what the device says of itself. Kernels are the same whatever it is.
  int compute_capability = 90;
  // Blocks that are alive at a time. 0: as the seed says, one to `multiprocessors`. A kernel whose blocks wait for each
  // other needs all of them.
  int resident_blocks = 0;
  // A launch is stopped after so many primitives (0: no limit) or seconds.
  uint64_t most_steps = 0;
  double most_seconds = 120;
  // Copying to the host what nothing was written to is an error.
  bool check_host_reads = true;
  // Failures of kernels show in the calls after the launch, as on a device that runs them asynchronously.
  bool late_failures = false;
  // The launch of this number, from 1, fails with this status. 0: none does.
  uint64_t failing_launch = 0;
  Status failing_status = 700;

  static SimulatorOptions from_environment();
};

}  // namespace weft::cuda
