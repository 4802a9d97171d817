#include "addon/matmul_choices.h"

#include "addon/handles.h"
#include "error.h"
#include "libraries/cublaslt_api.h"
#include "node/values.h"

namespace weft::cuda {

Napi::Value about_matmul_library(const Napi::CallbackInfo& info) {
  Gpu& gpu = *unwrap<DeviceHandle>(info[0]).gpu;
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("found", gpu.matmul_library() != nullptr);
  result.Set("note", gpu.about_matmul_library());
  return result;
}

Napi::Value describe_matmul_library(const Napi::CallbackInfo& info) {
  const CublasLtApi& api = cublaslt_for(static_cast<int>(integer(info[0], "driverVersion")));
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("path", api.path);
  result.Set("version", api.version_text());
  return result;
}

Napi::Value library_choices(const Napi::CallbackInfo& info) {
  const auto* executable = dynamic_cast<const Executable*>(unwrap<ExecutableHandle>(info[0]).executable.get());
  if (!executable) throw Error("the executable was disposed");
  const Napi::Env env = info.Env();
  Napi::Array result = Napi::Array::New(env);
  for (const LibraryChoice& choice : executable->library_choices()) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("program", executable->plan().programs[choice.program].name);
    entry.Set("step", static_cast<double>(choice.step));
    entry.Set("leastRows", static_cast<double>(choice.least_rows));
    entry.Set("isNvfp4", choice.is_nvfp4);
    entry.Set("refusal", choice.refusal);
    result.Set(result.Length(), entry);
  }
  return result;
}

}  // namespace weft::cuda
