// The entries of the addon. TypeScript's side (packages/runtime-cpu/src) gives them their public form.
#include <napi.h>

#include <cstring>

#include "addon/handles.h"
#include "addon/processor.h"
#include "addon/values.h"
#include "error.h"
#include "plan_generated.h"

namespace weft::cpu {
namespace {

// preparePlan(plan): a handle of a plan found sound.
Napi::Value prepare_plan(const Napi::CallbackInfo& info) {
  auto handle = std::make_unique<PlanHandle>();
  handle->plan = std::make_shared<const PreparedPlan>(plan::read_plan(info[0]));
  return wrap(info.Env(), std::move(handle));
}

// echoPlan(plan): read and written again; what the generated code does, for tests.
Napi::Value echo_plan(const Napi::CallbackInfo& info) {
  return plan::write_plan(info.Env(), plan::read_plan(info[0]));
}

// weightsOf(planHandle): [{ buffer, name, dtype, shape }].
Napi::Value weights_of(const Napi::CallbackInfo& info) {
  const plan::Plan& source = unwrap<PlanHandle>(info[0]).plan->plan;
  Napi::Array result = Napi::Array::New(info.Env());
  for (size_t i = 0; i < source.buffers.size(); ++i) {
    const plan::PlanBuffer& buffer = source.buffers[i];
    if (buffer.class_ != plan::BufferClass::weights) continue;
    Napi::Object entry = Napi::Object::New(info.Env());
    entry.Set("buffer", Napi::Number::New(info.Env(), static_cast<double>(i)));
    entry.Set("name", buffer.name);
    entry.Set("dtype", plan::name_of(buffer.dtype));
    Napi::Array shape = Napi::Array::New(info.Env());
    for (const int64_t size : buffer.shape) shape.Set(shape.Length(), static_cast<double>(size));
    entry.Set("shape", shape);
    result.Set(result.Length(), entry);
  }
  return result;
}

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
  handle->dispatcher = std::make_shared<Dispatcher>(info.Env(), thread_count(info[0]));
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

class LoadJob final : public Job {
 public:
  LoadJob(Napi::Env env, std::shared_ptr<Executable> executable, std::shared_ptr<Dispatcher> dispatcher)
      : Job(env), executable_(std::move(executable)), target_(std::move(dispatcher)) {}
  void execute(ThreadPool& pool) override { executable_->load(pool); }
  void stop() override { executable_->stop(); }
  Napi::Value result(Napi::Env env) override {
    if (executable_->is_stopped()) throw Error("the device was disposed while it loaded");
    auto handle = std::make_unique<ExecutableHandle>();
    handle->executable = executable_;
    handle->dispatcher = target_;
    return wrap(env, std::move(handle));
  }

 private:
  std::shared_ptr<Executable> executable_;
  std::shared_ptr<Dispatcher> target_;
};

// load(deviceHandle, planHandle, weights, { memoryLimitBytes, checkWeights }): promise of an executable handle.
Napi::Value load(const Napi::CallbackInfo& info) {
  const DeviceHandle& device = unwrap<DeviceHandle>(info[0]);
  const std::shared_ptr<const PreparedPlan>& prepared = unwrap<PlanHandle>(info[1]).plan;
  const Napi::Object given = object(info[3], "options");
  const int64_t limit = integer(given.Get("memoryLimitBytes"), "memoryLimitBytes");
  if (limit < 0) throw Error("[memory] memoryLimitBytes must not be negative");
  LoadOptions options;
  options.memory_limit = static_cast<size_t>(limit);
  options.check_finite = given.Get("checkWeights").ToBoolean().Value();
  auto executable = std::make_shared<Executable>(CompiledPlan(prepared, *device.kernels, device.dispatcher->threads()),
                                                 weight_origins(info[2], *prepared), options);
  return device.dispatcher->add(std::make_unique<LoadJob>(info.Env(), std::move(executable), device.dispatcher));
}

Napi::Value memory(const Napi::CallbackInfo& info) {
  const ExecutableHandle& handle = unwrap<ExecutableHandle>(info[0]);
  if (!handle.executable) throw Error("the executable was disposed");
  return memory_object(info.Env(), handle.executable->memory());
}

class ResetJob final : public ExecutableJob {
 public:
  using ExecutableJob::ExecutableJob;
  void execute(ThreadPool& pool) override { executable_->reset_state(pool); }
};

Napi::Value reset(const Napi::CallbackInfo& info) {
  ExecutableHandle& handle = unwrap<ExecutableHandle>(info[0]);
  return handle.dispatcher->add(std::make_unique<ResetJob>(info.Env(), handle));
}

class DropJob final : public ExecutableJob {
 public:
  DropJob(Napi::Env env, ExecutableHandle& handle, size_t axis, int64_t count)
      : ExecutableJob(env, handle), axis_(axis), count_(count) {}
  void execute(ThreadPool& pool) override { executable_->drop_oldest(pool, axis_, count_); }

 private:
  size_t axis_;
  int64_t count_;
};

// dropOldest(handle, axisIndex, count)
Napi::Value drop_oldest(const Napi::CallbackInfo& info) {
  ExecutableHandle& handle = unwrap<ExecutableHandle>(info[0]);
  const int64_t axis = integer(info[1], "axisIndex"), count = integer(info[2], "count");
  if (axis < 0 || count < 0) throw Error("axisIndex and count must not be negative");
  return handle.dispatcher->add(std::make_unique<DropJob>(info.Env(), handle, static_cast<size_t>(axis), count));
}

// saveState(handle): a copy of the state arena. Copied where JavaScript runs, while nothing else does.
Napi::Value save_state(const Napi::CallbackInfo& info) {
  const Executable& executable = *unwrap<ExecutableHandle>(info[0]).idle();
  Napi::Uint8Array result = Napi::Uint8Array::New(info.Env(), executable.state_bytes());
  if (executable.state_bytes() > 0) std::memcpy(result.Data(), executable.state(), executable.state_bytes());
  return result;
}

Napi::Value restore_state(const Napi::CallbackInfo& info) {
  const Executable& executable = *unwrap<ExecutableHandle>(info[0]).idle();
  if (!info[1].IsTypedArray() || info[1].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
    throw Error("a saved state must be a Uint8Array");
  const Napi::Uint8Array saved = info[1].As<Napi::Uint8Array>();
  if (saved.ByteLength() != executable.state_bytes())
    throw Error("the saved state has " + std::to_string(saved.ByteLength()) + " bytes, this executable's has " +
                std::to_string(executable.state_bytes()) + "; was it saved by another plan?");
  if (saved.ByteLength() > 0) std::memcpy(executable.state(), saved.Data(), saved.ByteLength());
  return info.Env().Undefined();
}

// disposeExecutable(handle): a run in execution ends early and rejects; memory goes when it has ended.
Napi::Value dispose_executable(const Napi::CallbackInfo& info) {
  ExecutableHandle& handle = unwrap<ExecutableHandle>(info[0]);
  if (handle.executable) handle.executable->stop();
  handle.executable.reset();
  return info.Env().Undefined();
}

template <Napi::Value (*function)(const Napi::CallbackInfo&)>
Napi::Value entry(const Napi::CallbackInfo& info) {
  return guarded(info, function);
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  exports.Set("preparePlan", Napi::Function::New<entry<prepare_plan>>(env));
  exports.Set("echoPlan", Napi::Function::New<entry<echo_plan>>(env));
  exports.Set("weightsOf", Napi::Function::New<entry<weights_of>>(env));
  exports.Set("describe", Napi::Function::New<entry<describe>>(env));
  exports.Set("createDevice", Napi::Function::New<entry<create_device>>(env));
  exports.Set("disposeDevice", Napi::Function::New<entry<dispose_device>>(env));
  exports.Set("predict", Napi::Function::New<entry<predict>>(env));
  exports.Set("load", Napi::Function::New<entry<load>>(env));
  exports.Set("run", Napi::Function::New<entry<start_run>>(env));
  exports.Set("memory", Napi::Function::New<entry<memory>>(env));
  exports.Set("reset", Napi::Function::New<entry<reset>>(env));
  exports.Set("dropOldest", Napi::Function::New<entry<drop_oldest>>(env));
  exports.Set("saveState", Napi::Function::New<entry<save_state>>(env));
  exports.Set("restoreState", Napi::Function::New<entry<restore_state>>(env));
  exports.Set("disposeExecutable", Napi::Function::New<entry<dispose_executable>>(env));
  return exports;
}

}  // namespace

NODE_API_MODULE(weft_cpu, initialize)

}  // namespace weft::cpu
