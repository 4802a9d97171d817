// Everything about a CUDA plan that could make the host crash or a launch reach memory of another step, checked before
// anything is loaded. What kernels do with the buffers they are given is the simulator's to check.
#pragma once

#include "cuda_plan_generated.h"
#include "loaded/prepared_plan.h"

namespace weft::cuda {

// Blocks per multiprocessor that a launch may ask for; no GPU holds more at a time.
inline constexpr int64_t most_per_multiprocessor = 64;

// Throws Error with one line per problem (the first twenty).
void check_cuda_plan(const plan::CudaPlan& cuda, const PreparedPlan& prepared);

// Against the GPU at hand: shared memory. Throws Error.
void check_fits_device(const plan::CudaPlan& cuda, size_t shared_bytes_per_block, const std::string& device);

}  // namespace weft::cuda
