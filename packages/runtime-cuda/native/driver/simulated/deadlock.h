// Nothing can go on: who waits where.
#pragma once

#include <vector>

#include "run.h"

namespace weft::cuda::sim {

void fail_deadlock(LaunchRun& launch, const std::vector<BlockRun*>& running);

}  // namespace weft::cuda::sim
