// Matrix products by cuBLASLt.
#pragma once

#include <functional>
#include <memory>

#include "driver/matmul_library.h"
#include "libraries/cublaslt_api.h"

namespace weft::cuda {

// Makes a call with the driver's context current on this thread; gives what went wrong on the way there.
using InContext = std::function<std::string(const std::function<void()>& call)>;

// Throws Error when the library cannot be set up.
std::unique_ptr<MatmulLibrary> make_cublaslt(const CublasLtApi& api, InContext in_context);

}  // namespace weft::cuda
