// NVRTC for JavaScript, off its thread.
#pragma once

#include <napi.h>

namespace weft::cuda {

// compileText(text, name, arch, options): promise of { image?, log }; without `image` the text does not compile.
Napi::Value compile_text(const Napi::CallbackInfo& info);

// describeCompiler(): { path, major, minor }. Throws when there is none.
Napi::Value describe_compiler(const Napi::CallbackInfo& info);

}  // namespace weft::cuda
