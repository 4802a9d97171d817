// The entries of the addon that are CUDA's own. TypeScript's side (packages/runtime-cuda/src) gives them their public
// form.
#include <napi.h>

#include "addon/compile_text.h"
#include "addon/handles.h"
#include "addon/matmul_choices.h"
#include "addon/open_device.h"
#include "addon/progress.h"
#include "cuda_plan_generated.h"
#include "error.h"
#include "loaded/free_memory.h"
#include "node/entries.h"

namespace weft::cuda {
namespace {

// prepareCuda(planHandle, cudaPlan): a handle of a CUDA plan found sound for the plan.
Napi::Value prepare_cuda(const Napi::CallbackInfo& info) {
  auto handle = std::make_unique<CompiledHandle>();
  handle->compiled = std::make_shared<const CompiledPlan>(unwrap<PlanHandle>(info[0]).plan, plan::read_cuda_plan(info[1]));
  return wrap(info.Env(), std::move(handle));
}

// echoCudaPlan(cudaPlan): read and written again; what the generated code does, for tests.
Napi::Value echo_cuda_plan(const Napi::CallbackInfo& info) {
  return plan::write_cuda_plan(info.Env(), plan::read_cuda_plan(info[0]));
}

// predict(device, compiledHandle): the memory table, nothing allocated.
Napi::Value predict(const Napi::CallbackInfo& info) {
  const bool by_library = unwrap<DeviceHandle>(info[0]).gpu->matmul_library() != nullptr;
  const CompiledPlan& compiled = *unwrap<CompiledHandle>(info[1]).compiled;
  return memory_object(info.Env(), Layout(compiled.prepared->plan, compiled.cuda, by_library).table());
}

class CudaLoadJob final : public LoadJob {
 public:
  CudaLoadJob(Napi::Env env, std::shared_ptr<Executable> executable, const DeviceHandle& device, std::unique_ptr<ProgressCall> progress)
      : LoadJob(env, executable, device.dispatcher), loading_(std::move(executable)), gpu_(device.gpu), progress_(std::move(progress)) {}
  void execute() override {
    gpu_->add(loading_);
    loading_->load(progress_ ? progress_->function() : Progress());
    return_free_memory();
  }

 private:
  std::shared_ptr<Executable> loading_;
  std::shared_ptr<Gpu> gpu_;
  std::unique_ptr<ProgressCall> progress_;
};

Images images_of(const Napi::Value& value, const Napi::Value& toolkit_version) {
  if (!value.IsArray()) throw Error("images must be an array");
  Images images;
  if (!toolkit_version.IsUndefined()) images.toolkit_version = text(toolkit_version, "toolkitVersion");
  for (uint32_t i = 0; i < value.As<Napi::Array>().Length(); ++i) {
    const Bytes bytes = bytes_of(value.As<Napi::Array>().Get(i), "image " + std::to_string(i));
    if (bytes.size == 0) throw Error("image " + std::to_string(i) + " is empty; compile the kernels again");
    images.modules.emplace_back(bytes.data, bytes.data + bytes.size);
  }
  return images;
}

// load(device, compiledHandle, images, weights, { memoryLimitBytes, checkWeights, toolkitVersion? }, onProgress?): promise
// of an executable handle.
Napi::Value load(const Napi::CallbackInfo& info) {
  const DeviceHandle& device = unwrap<DeviceHandle>(info[0]);
  const std::shared_ptr<const CompiledPlan>& compiled = unwrap<CompiledHandle>(info[1]).compiled;
  const LoadOptions options = load_options(info[4]);
  Images images = images_of(info[2], info[4].As<Napi::Object>().Get("toolkitVersion"));
  std::unique_ptr<ProgressCall> progress = progress_call(info[5]);
  auto executable = std::make_shared<Executable>(device.gpu, compiled, std::move(images),
                                                 weight_origins(info[3], *compiled->prepared), options);
  return device.dispatcher->add(std::make_unique<CudaLoadJob>(info.Env(), std::move(executable), device, std::move(progress)));
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  add_shared_entries(env, exports);
  exports.Set("openDevice", Napi::Function::New<entry<open_device>>(env));
  exports.Set("aboutMatmulLibrary", Napi::Function::New<entry<about_matmul_library>>(env));
  exports.Set("describeMatmulLibrary", Napi::Function::New<entry<describe_matmul_library>>(env));
  exports.Set("libraryChoices", Napi::Function::New<entry<library_choices>>(env));
  exports.Set("deviceFacts", Napi::Function::New<entry<device_facts>>(env));
  exports.Set("takeCalls", Napi::Function::New<entry<take_calls>>(env));
  exports.Set("disposeDevice", Napi::Function::New<entry<dispose_device>>(env));
  exports.Set("prepareCuda", Napi::Function::New<entry<prepare_cuda>>(env));
  exports.Set("echoCudaPlan", Napi::Function::New<entry<echo_cuda_plan>>(env));
  exports.Set("predict", Napi::Function::New<entry<predict>>(env));
  exports.Set("load", Napi::Function::New<entry<load>>(env));
  exports.Set("compileText", Napi::Function::New<entry<compile_text>>(env));
  exports.Set("listCompilers", Napi::Function::New<entry<list_compilers>>(env));
  return exports;
}

}  // namespace

NODE_API_MODULE(weft_cuda, initialize)

}  // namespace weft::cuda
