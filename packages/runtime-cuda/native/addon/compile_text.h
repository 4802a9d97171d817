// NVRTC for JavaScript, off its thread.
#pragma once

#include <napi.h>

namespace weft::cuda {

// compileText(path, text, name, arch, options): promise of { image?, log }; without `image` the text does not compile.
// `path`: of the library that compiles it.
Napi::Value compile_text(const Napi::CallbackInfo& info);

// listCompilers(): [{ path, major, minor, architectures }]. Throws when there is none.
Napi::Value list_compilers(const Napi::CallbackInfo& info);

}  // namespace weft::cuda
