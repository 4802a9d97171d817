// A step by a library's products: matrices that lie within the buffers of the step, whatever the symbols.
#pragma once

#include "cuda_plan_generated.h"
#include "validate_checker.h"

namespace weft::cuda {

// Adds a problem for whatever could reach memory of another step. The launches are checked elsewhere.
void check_library_step(plan::Checker& checker, const plan::CudaPlan& cuda, const plan::CudaLibraryStep& step,
                        const plan::PlanStep& planned, const std::string& place);

}  // namespace weft::cuda
