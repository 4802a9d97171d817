// The entries of the addon that are the CPU's own. TypeScript's side (packages/runtime-cpu/src) gives them their public form.
#include <napi.h>

#include "addon/formats.h"
#include "addon/handles.h"
#include "addon/limits.h"
#include "addon/processor.h"
#include "error.h"
#include "loaded/free_memory.h"
#include "node/entries.h"
#include "plan_generated.h"

namespace weft::cpu {
namespace {

// describe(): { isa, available, logicalProcessors, physicalCores, maxThreads }.
Napi::Value describe(const Napi::CallbackInfo& info) {
  Napi::Object result = Napi::Object::New(info.Env());
  const Processor processor = describe_processor();
  result.Set("isa", best_kernels().name);
  Napi::Array available = Napi::Array::New(info.Env());
  for (const char* const* name = available_kernels(); *name; ++name)
    available.Set(available.Length(), Napi::String::New(info.Env(), *name));
  result.Set("available", available);
  result.Set("logicalProcessors", processor.logical);
  result.Set("physicalCores", processor.physical);
  result.Set("maxThreads", ThreadPool::max_threads);
  return result;
}

const KernelTable& kernels_named(const std::string& name) {
  if (name.empty()) return best_kernels();
  if (const KernelTable* table = find_kernels(name.c_str())) return *table;
  std::string known;
  for (const char* const* available = available_kernels(); *available; ++available)
    known += std::string(known.empty() ? "" : ", ") + *available;
  throw Error("[isa] this processor has no kernels called \"" + name + "\"; available: " + known);
}

int thread_count(const Napi::Value& value) {
  const int64_t threads = integer(value, "threads");
  if (threads < 1 || threads > ThreadPool::max_threads)
    throw Error("[threads] must be 1 to " + std::to_string(ThreadPool::max_threads) + ", not " + std::to_string(threads));
  return static_cast<int>(threads);
}

// createDevice(threads, isa): a device handle; isa "" takes the best.
Napi::Value create_device(const Napi::CallbackInfo& info) {
  auto handle = std::make_unique<DeviceHandle>();
  handle->kernels = &kernels_named(text(info[1], "isa"));
  handle->pool = std::make_shared<ThreadPool>(thread_count(info[0]));
  handle->dispatcher = std::make_shared<Dispatcher>(info.Env());
  return wrap(info.Env(), std::move(handle));
}

Napi::Value dispose_device(const Napi::CallbackInfo& info) {
  unwrap<DeviceHandle>(info[0]).dispatcher->close();
  return info.Env().Undefined();
}

// predict(planHandle, threads, isa, weights): the memory table, nothing allocated.
Napi::Value predict(const Napi::CallbackInfo& info) {
  const std::shared_ptr<const PreparedPlan>& prepared = unwrap<PlanHandle>(info[0]).plan;
  const CompiledPlan compiled(prepared, kernels_named(text(info[2], "isa")), thread_count(info[1]));
  WeightSizes weights;
  if (info[3].IsUndefined()) {
    for (const plan::PlanBuffer& buffer : prepared->plan.buffers)
      if (buffer.class_ == plan::BufferClass::weights) weights.mapped += static_cast<size_t>(buffer.bytes);
  } else {
    weights = weight_sizes(weight_origins(info[3], *prepared));
  }
  return memory_object(info.Env(), compiled.memory(weights));
}

class CpuLoadJob final : public LoadJob {
 public:
  CpuLoadJob(Napi::Env env, std::shared_ptr<Executable> executable, const DeviceHandle& device)
      : LoadJob(env, executable, device.dispatcher), loading_(std::move(executable)) {}
  void execute() override {
    loading_->load();
    return_free_memory();
  }

 private:
  std::shared_ptr<Executable> loading_;
};

// load(deviceHandle, planHandle, weights, { memoryLimitBytes, checkWeights }): promise of an executable handle.
Napi::Value load(const Napi::CallbackInfo& info) {
  const DeviceHandle& device = unwrap<DeviceHandle>(info[0]);
  const std::shared_ptr<const PreparedPlan>& prepared = unwrap<PlanHandle>(info[1]).plan;
  auto executable = std::make_shared<Executable>(CompiledPlan(prepared, *device.kernels, device.pool->size()),
                                                 weight_origins(info[2], *prepared), load_options(info[3]), device.pool);
  return device.dispatcher->add(std::make_unique<CpuLoadJob>(info.Env(), std::move(executable), device));
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  add_shared_entries(env, exports);
  exports.Set("describe", Napi::Function::New<entry<describe>>(env));
  exports.Set("createDevice", Napi::Function::New<entry<create_device>>(env));
  exports.Set("disposeDevice", Napi::Function::New<entry<dispose_device>>(env));
  exports.Set("predict", Napi::Function::New<entry<predict>>(env));
  exports.Set("nvfp4Encode", Napi::Function::New<entry<encode_nvfp4_entry>>(env));
  exports.Set("fp8Encode", Napi::Function::New<entry<encode_fp8_entry>>(env));
  exports.Set("nvfp4Statistics", Napi::Function::New<entry<nvfp4_statistics_entry>>(env));
  exports.Set("nvfp4Decode", Napi::Function::New<entry<decode_nvfp4_entry>>(env));
  exports.Set("amax", Napi::Function::New<entry<amax_entry>>(env));
  exports.Set("measureReadBandwidth", Napi::Function::New<entry<measure_read_bandwidth_entry>>(env));
  exports.Set("measureMultiplyAddRate", Napi::Function::New<entry<measure_multiply_add_rate_entry>>(env));
  exports.Set("load", Napi::Function::New<entry<load>>(env));
  return exports;
}

}  // namespace

NODE_API_MODULE(weft_cpu, initialize)

}  // namespace weft::cpu
