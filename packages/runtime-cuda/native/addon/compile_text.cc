#include "addon/compile_text.h"

#include <cstring>

#include "compile/nvrtc.h"
#include "error.h"
#include "node/values.h"

namespace weft::cuda {
namespace {

// On a thread of Node's pool: several modules are compiled side by side.
class CompileWorker final : public Napi::AsyncWorker {
 public:
  CompileWorker(Napi::Env env, std::string text, std::string name, std::string arch, std::vector<std::string> options)
      : AsyncWorker(env), deferred_(Napi::Promise::Deferred::New(env)), text_(std::move(text)), name_(std::move(name)),
        arch_(std::move(arch)), options_(std::move(options)) {}
  Napi::Promise promise() const { return deferred_.Promise(); }

  void Execute() override { result_ = compile_with_nvrtc(text_, name_, arch_, options_); }
  void OnOK() override {
    Napi::Object result = Napi::Object::New(Env());
    result.Set("log", result_.log);
    if (!result_.image.empty()) {
      Napi::Uint8Array image = Napi::Uint8Array::New(Env(), result_.image.size());
      std::memcpy(image.Data(), result_.image.data(), result_.image.size());
      result.Set("image", image);
    }
    deferred_.Resolve(result);
  }
  void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

 private:
  Napi::Promise::Deferred deferred_;
  std::string text_, name_, arch_;
  std::vector<std::string> options_;
  CompiledText result_;
};

}  // namespace

Napi::Value compile_text(const Napi::CallbackInfo& info) {
  if (!info[3].IsArray()) throw Error("options must be an array");
  std::vector<std::string> options;
  for (uint32_t i = 0; i < info[3].As<Napi::Array>().Length(); ++i)
    options.push_back(text(info[3].As<Napi::Array>().Get(i), "an option"));
  // Deletes itself when it is done.
  auto* worker = new CompileWorker(info.Env(), text(info[0], "text"), text(info[1], "name"), text(info[2], "arch"), std::move(options));
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}

Napi::Value describe_compiler(const Napi::CallbackInfo& info) {
  const NvrtcDescription description = describe_nvrtc();
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("path", description.path);
  result.Set("major", description.major);
  result.Set("minor", description.minor);
  return result;
}

}  // namespace weft::cuda
