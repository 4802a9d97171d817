// What JavaScript may ask about libraries of matrix products: which there is, and which steps go by it.
#pragma once

#include <napi.h>

namespace weft::cuda {

// aboutMatmulLibrary(device): { found, note }: its name, or why there is none.
Napi::Value about_matmul_library(const Napi::CallbackInfo& info);

// describeMatmulLibrary(driverVersion): { path, version } of the one on this machine, no device needed. Throws with the
// places tried.
Napi::Value describe_matmul_library(const Napi::CallbackInfo& info);

// libraryChoices(executable): [{ program, step, leastRows, refusal }]: steps that can go by a library. `refusal` is
// empty where they do.
Napi::Value library_choices(const Napi::CallbackInfo& info);

}  // namespace weft::cuda
