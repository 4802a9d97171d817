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
  CompileWorker(Napi::Env env, std::string path, std::string text, std::string name, std::string arch, std::vector<std::string> options)
      : AsyncWorker(env), deferred_(Napi::Promise::Deferred::New(env)), path_(std::move(path)), text_(std::move(text)),
        name_(std::move(name)), arch_(std::move(arch)), options_(std::move(options)) {}
  Napi::Promise promise() const { return deferred_.Promise(); }

  void Execute() override { result_ = compile_with_nvrtc(path_, text_, name_, arch_, options_); }
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
  std::string path_, text_, name_, arch_;
  std::vector<std::string> options_;
  CompiledText result_;
};

}  // namespace

Napi::Value compile_text(const Napi::CallbackInfo& info) {
  if (!info[4].IsArray()) throw Error("options must be an array");
  std::vector<std::string> options;
  for (uint32_t i = 0; i < info[4].As<Napi::Array>().Length(); ++i)
    options.push_back(text(info[4].As<Napi::Array>().Get(i), "an option"));
  // Deletes itself when it is done.
  auto* worker = new CompileWorker(info.Env(), text(info[0], "path"), text(info[1], "text"), text(info[2], "name"),
                                   text(info[3], "arch"), std::move(options));
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}

Napi::Value list_compilers(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Array list = Napi::Array::New(env);
  for (const NvrtcDescription& description : list_nvrtcs()) {
    Napi::Array architectures = Napi::Array::New(env);
    for (const int architecture : description.architectures) architectures.Set(architectures.Length(), architecture);
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("path", description.path);
    entry.Set("major", description.major);
    entry.Set("minor", description.minor);
    entry.Set("architectures", architectures);
    list.Set(list.Length(), entry);
  }
  return list;
}

}  // namespace weft::cuda
