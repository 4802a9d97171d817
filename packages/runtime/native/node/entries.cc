#include "node/entries.h"

#include <cstring>

#include "error.h"
#include "plan_generated.h"

namespace weft {
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

Napi::Value memory(const Napi::CallbackInfo& info) {
  const ExecutableHandle& handle = unwrap<ExecutableHandle>(info[0]);
  if (!handle.executable) throw Error("the executable was disposed");
  return memory_object(info.Env(), handle.executable->memory());
}

// runsAhead(handle): by program, how many of its runs may be under way.
Napi::Value runs_ahead(const Napi::CallbackInfo& info) {
  const std::shared_ptr<LoadedPlan>& executable = unwrap<ExecutableHandle>(info[0]).open();
  const size_t programs = executable->plan().programs.size();
  Napi::Array result = Napi::Array::New(info.Env(), programs);
  for (size_t i = 0; i < programs; ++i)
    result.Set(static_cast<uint32_t>(i), static_cast<double>(executable->runs_ahead(i)));
  return result;
}

class ResetJob final : public ExecutableJob {
 public:
  using ExecutableJob::ExecutableJob;
  void execute() override { executable_->reset_state(); }
};

Napi::Value reset(const Napi::CallbackInfo& info) {
  ExecutableHandle& handle = unwrap<ExecutableHandle>(info[0]);
  return handle.dispatcher->add(std::make_unique<ResetJob>(info.Env(), handle));
}

class ShiftJob final : public ExecutableJob {
 public:
  ShiftJob(Napi::Env env, ExecutableHandle& handle, size_t axis, int64_t count)
      : ExecutableJob(env, handle), axis_(axis), count_(count) {}
  void execute() override { executable_->shift_state(axis_, count_); }

 private:
  size_t axis_;
  int64_t count_;
};

// shiftState(handle, axisIndex, count)
Napi::Value shift_state(const Napi::CallbackInfo& info) {
  ExecutableHandle& handle = unwrap<ExecutableHandle>(info[0]);
  const int64_t axis = integer(info[1], "axisIndex"), count = integer(info[2], "count");
  if (axis < 0 || count < 0) throw Error("axisIndex and count must not be negative");
  return handle.dispatcher->add(std::make_unique<ShiftJob>(info.Env(), handle, static_cast<size_t>(axis), count));
}

// Into an array that nobody else sees before the promise resolves.
class SaveJob final : public ExecutableJob {
 public:
  SaveJob(Napi::Env env, ExecutableHandle& handle, Napi::Uint8Array array)
      : ExecutableJob(env, handle), data_(reinterpret_cast<char*>(array.Data())), array_(Napi::Persistent(array)) {}
  void execute() override {
    if (executable_->state_bytes() > 0) executable_->save_state(data_);
  }
  Napi::Value result(Napi::Env) override { return array_.Value(); }

 private:
  char* data_;
  Napi::Reference<Napi::Uint8Array> array_;
};

// saveState(handle): a copy of the state.
Napi::Value save_state(const Napi::CallbackInfo& info) {
  ExecutableHandle& handle = unwrap<ExecutableHandle>(info[0]);
  const Napi::Uint8Array array = Napi::Uint8Array::New(info.Env(), handle.idle()->state_bytes());
  return handle.dispatcher->add(std::make_unique<SaveJob>(info.Env(), handle, array));
}

// From a copy: the caller may change its array, or give it away, before the job is done.
class RestoreJob final : public ExecutableJob {
 public:
  RestoreJob(Napi::Env env, ExecutableHandle& handle, std::unique_ptr<char[]> saved)
      : ExecutableJob(env, handle), saved_(std::move(saved)) {}
  void execute() override {
    if (executable_->state_bytes() > 0) executable_->restore_state(saved_.get());
  }

 private:
  std::unique_ptr<char[]> saved_;
};

Napi::Value restore_state(const Napi::CallbackInfo& info) {
  ExecutableHandle& handle = unwrap<ExecutableHandle>(info[0]);
  const size_t bytes = handle.idle()->state_bytes();
  if (!info[1].IsTypedArray() || info[1].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
    throw Error("a saved state must be a Uint8Array");
  const Napi::Uint8Array saved = info[1].As<Napi::Uint8Array>();
  if (saved.ByteLength() != bytes)
    throw Error("the saved state has " + std::to_string(saved.ByteLength()) + " bytes, this executable's has " +
                std::to_string(bytes) + "; was it saved by another plan?");
  auto copy = std::make_unique_for_overwrite<char[]>(bytes);
  if (bytes > 0) std::memcpy(copy.get(), saved.Data(), bytes);
  return handle.dispatcher->add(std::make_unique<RestoreJob>(info.Env(), handle, std::move(copy)));
}

Napi::Value dispose_executable(const Napi::CallbackInfo& info) {
  unwrap<ExecutableHandle>(info[0]).dispose();
  return info.Env().Undefined();
}

}  // namespace

const std::shared_ptr<LoadedPlan>& ExecutableHandle::open() const {
  if (!executable) throw Error("the executable was disposed");
  if (dispatcher->is_closed()) throw Error("the device of this executable was disposed");
  return executable;
}

const std::shared_ptr<LoadedPlan>& ExecutableHandle::idle() const {
  const std::shared_ptr<LoadedPlan>& opened = open();
  if (!flight->is_idle()) throw Error("internal: [runtime] the executable is busy");
  return opened;
}

void ExecutableHandle::dispose() noexcept {
  if (!executable) return;
  executable->stop();
  dispatcher->post([released = std::move(executable)] { released->release(); });
  executable.reset();
}

Napi::Value LoadJob::result(Napi::Env env) {
  auto handle = std::make_unique<ExecutableHandle>(executable_, target_);
  if (!executable_->is_stopped()) return wrap(env, std::move(handle));
  throw Error("the device was disposed while it loaded");
}

LoadOptions load_options(const Napi::Value& value) {
  const Napi::Object given = object(value, "options");
  const int64_t limit = integer(given.Get("memoryLimitBytes"), "memoryLimitBytes");
  if (limit < 0) throw Error("[memory] memoryLimitBytes must not be negative");
  LoadOptions options;
  options.memory_limit = static_cast<size_t>(limit);
  options.check_finite = given.Get("checkWeights").ToBoolean().Value();
  return options;
}

void add_shared_entries(Napi::Env env, Napi::Object exports) {
  exports.Set("preparePlan", Napi::Function::New<entry<prepare_plan>>(env));
  exports.Set("echoPlan", Napi::Function::New<entry<echo_plan>>(env));
  exports.Set("weightsOf", Napi::Function::New<entry<weights_of>>(env));
  exports.Set("run", Napi::Function::New<entry<start_run>>(env));
  exports.Set("runsAhead", Napi::Function::New<entry<runs_ahead>>(env));
  exports.Set("memory", Napi::Function::New<entry<memory>>(env));
  exports.Set("reset", Napi::Function::New<entry<reset>>(env));
  exports.Set("shiftState", Napi::Function::New<entry<shift_state>>(env));
  exports.Set("saveState", Napi::Function::New<entry<save_state>>(env));
  exports.Set("restoreState", Napi::Function::New<entry<restore_state>>(env));
  exports.Set("disposeExecutable", Napi::Function::New<entry<dispose_executable>>(env));
}

}  // namespace weft
