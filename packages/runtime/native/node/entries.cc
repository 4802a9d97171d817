#include "node/entries.h"

#include <cmath>
#include <cstring>

#include "error.h"
#include "formats/nvfp4.h"
#include "loaded/cached_states.h"
#include "plan_generated.h"
#include "weights/convert_elements.h"

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
  ShiftJob(Napi::Env env, ExecutableHandle& handle, int64_t count) : ExecutableJob(env, handle), count_(count) {}
  void execute() override { executable_->shift_state(count_); }

 private:
  int64_t count_;
};

// shiftState(handle, count)
Napi::Value shift_state(const Napi::CallbackInfo& info) {
  ExecutableHandle& handle = unwrap<ExecutableHandle>(info[0]);
  const int64_t count = integer(info[1], "count");
  if (count < 0) throw Error("count must not be negative");
  return handle.dispatcher->add(std::make_unique<ShiftJob>(info.Env(), handle, count));
}

// Into an array that nobody else sees before the promise resolves.
class SaveJob final : public ExecutableJob {
 public:
  SaveJob(Napi::Env env, ExecutableHandle& handle, SavedLayout layout, Napi::Uint8Array array)
      : ExecutableJob(env, handle), layout_(std::move(layout)), data_(reinterpret_cast<char*>(array.Data())),
        array_(Napi::Persistent(array)) {}
  void execute() override {
    for (const SavedStretch& one : layout_.stretches) executable_->save_state(one.begin, one.bytes, data_ + one.saved);
  }
  Napi::Value result(Napi::Env) override { return array_.Value(); }

 private:
  SavedLayout layout_;
  char* data_;
  Napi::Reference<Napi::Uint8Array> array_;
};

// saveState(handle): a copy of the states that hold positions.
Napi::Value save_state(const Napi::CallbackInfo& info) {
  ExecutableHandle& handle = unwrap<ExecutableHandle>(info[0]);
  SavedLayout layout = saved_layout(handle.idle()->plan());
  const Napi::Uint8Array array = Napi::Uint8Array::New(info.Env(), layout.bytes);
  return handle.dispatcher->add(std::make_unique<SaveJob>(info.Env(), handle, std::move(layout), array));
}

// From a copy: the caller may change its array, or give it away, before the job is done.
class RestoreJob final : public ExecutableJob {
 public:
  RestoreJob(Napi::Env env, ExecutableHandle& handle, SavedLayout layout, std::unique_ptr<char[]> saved)
      : ExecutableJob(env, handle), layout_(std::move(layout)), saved_(std::move(saved)) {}
  void execute() override {
    for (const SavedStretch& one : layout_.stretches)
      executable_->restore_state(one.begin, one.bytes, saved_.get() + one.saved);
  }

 private:
  SavedLayout layout_;
  std::unique_ptr<char[]> saved_;
};

Napi::Value restore_state(const Napi::CallbackInfo& info) {
  ExecutableHandle& handle = unwrap<ExecutableHandle>(info[0]);
  SavedLayout layout = saved_layout(handle.idle()->plan());
  const size_t bytes = layout.bytes;
  if (!info[1].IsTypedArray() || info[1].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
    throw Error("a saved state must be a Uint8Array");
  const Napi::Uint8Array saved = info[1].As<Napi::Uint8Array>();
  if (saved.ByteLength() != bytes)
    throw Error("the saved state has " + std::to_string(saved.ByteLength()) + " bytes, this executable's has " +
                std::to_string(bytes) + "; was it saved by another plan?");
  auto copy = std::make_unique_for_overwrite<char[]>(bytes);
  if (bytes > 0) std::memcpy(copy.get(), saved.Data(), bytes);
  return handle.dispatcher->add(std::make_unique<RestoreJob>(info.Env(), handle, std::move(layout), std::move(copy)));
}

const plan::PlanBuffer& state_named(const plan::Plan& source, const std::string& name) {
  for (const plan::PlanBuffer& buffer : source.buffers)
    if (buffer.class_ == plan::BufferClass::state && buffer.name == name) return buffer;
  throw Error("[state] the plan has no state \"" + name + "\"");
}

// What a state's values take outside of the device: nvfp4 as files have it, codes and then scales.
size_t bytes_outside(const plan::PlanBuffer& state) {
  return state.dtype == plan::PlanDtype::nvfp4 ? static_cast<size_t>(plan::elements_of(state)) / 16 * 9
                                               : static_cast<size_t>(state.bytes);
}

// One state into an array that nobody else sees before the promise resolves: its bytes as they are stored.
class ReadStateJob final : public ExecutableJob {
 public:
  ReadStateJob(Napi::Env env, ExecutableHandle& handle, const plan::PlanBuffer& state, Napi::Uint8Array array)
      : ExecutableJob(env, handle), state_(state), data_(reinterpret_cast<char*>(array.Data())),
        array_(Napi::Persistent(array)) {}
  void execute() override {
    const size_t begin = static_cast<size_t>(state_.offset), bytes = static_cast<size_t>(state_.bytes);
    if (state_.dtype != plan::PlanDtype::nvfp4) return executable_->save_state(begin, bytes, data_);
    const auto tiles = std::make_unique_for_overwrite<char[]>(bytes);
    executable_->save_state(begin, bytes, tiles.get());
    const size_t elements = static_cast<size_t>(plan::elements_of(state_)), depth = static_cast<size_t>(state_.shape.back());
    uint8_t* codes = reinterpret_cast<uint8_t*>(data_);
    nvfp4_from_tiles(codes, codes + elements / 2, reinterpret_cast<const uint8_t*>(tiles.get()), elements / depth, depth);
  }
  Napi::Value result(Napi::Env) override { return array_.Value(); }

 private:
  const plan::PlanBuffer& state_;
  char* data_;
  Napi::Reference<Napi::Uint8Array> array_;
};

// readState(handle, name): the bytes of one state.
Napi::Value read_state(const Napi::CallbackInfo& info) {
  ExecutableHandle& handle = unwrap<ExecutableHandle>(info[0]);
  const plan::PlanBuffer& state = state_named(handle.idle()->plan(), text(info[1], "name"));
  const Napi::Uint8Array array = Napi::Uint8Array::New(info.Env(), bytes_outside(state));
  return handle.dispatcher->add(std::make_unique<ReadStateJob>(info.Env(), handle, state, array));
}

// From bytes of the state's own dtype, which the job holds.
class WriteStateJob final : public ExecutableJob {
 public:
  WriteStateJob(Napi::Env env, ExecutableHandle& handle, size_t begin, size_t bytes, std::unique_ptr<char[]> data)
      : ExecutableJob(env, handle), begin_(begin), bytes_(bytes), data_(std::move(data)) {}
  void execute() override { executable_->restore_state(begin_, bytes_, data_.get()); }

 private:
  size_t begin_, bytes_;
  std::unique_ptr<char[]> data_;
};

// writeState(handle, name, values: Uint8Array, dtype, at): values of another float dtype are converted; they begin at
// element `at` of the state.
Napi::Value write_state(const Napi::CallbackInfo& info) {
  ExecutableHandle& handle = unwrap<ExecutableHandle>(info[0]);
  const plan::PlanBuffer& state = state_named(handle.idle()->plan(), text(info[1], "name"));
  const std::string given = text(info[3], "dtype");
  plan::PlanDtype dtype = state.dtype;
  bool is_known = false;
  for (const plan::PlanDtype one : {plan::PlanDtype::f32, plan::PlanDtype::bf16, plan::PlanDtype::f16,
                                    plan::PlanDtype::nvfp4, plan::PlanDtype::i32, plan::PlanDtype::i8})
    if (plan::name_of(one) == given) {
      dtype = one;
      is_known = true;
    }
  if (!is_known || ((plan::is_kept_as_is(dtype) || plan::is_kept_as_is(state.dtype)) && dtype != state.dtype))
    throw Error("[state] values of " + given + " cannot become " + plan::name_of(state.dtype));
  if (!info[2].IsTypedArray() || info[2].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
    throw Error("[state] values must be a Uint8Array");
  const Napi::Uint8Array values = info[2].As<Napi::Uint8Array>();
  if (state.dtype == plan::PlanDtype::nvfp4) {
    if (values.ByteLength() != bytes_outside(state))
      throw Error("[state] " + state.name + " takes " + std::to_string(bytes_outside(state)) + " bytes; given " +
                  std::to_string(values.ByteLength()));
    const size_t elements = static_cast<size_t>(plan::elements_of(state)), depth = static_cast<size_t>(state.shape.back());
    const size_t bytes = static_cast<size_t>(state.bytes);
    auto tiles = std::make_unique_for_overwrite<char[]>(bytes);
    const uint8_t* codes = values.Data();
    nvfp4_to_tiles(reinterpret_cast<uint8_t*>(tiles.get()), codes, codes + elements / 2, elements / depth, depth);
    return handle.dispatcher->add(std::make_unique<WriteStateJob>(info.Env(), handle, static_cast<size_t>(state.offset), bytes,
                                                                  std::move(tiles)));
  }
  const size_t own_bytes = static_cast<size_t>(plan::element_bytes(state.dtype)), given_bytes = static_cast<size_t>(plan::element_bytes(dtype));
  const size_t all = static_cast<size_t>(state.bytes) / own_bytes, count = values.ByteLength() / given_bytes;
  const double at = info[4].IsNumber() ? info[4].As<Napi::Number>().DoubleValue() : -1;
  if (!(at >= 0) || at != std::floor(at) || at > static_cast<double>(all) || values.ByteLength() % given_bytes != 0 ||
      count > all - static_cast<size_t>(at))
    throw Error("[state] " + state.name + " has " + std::to_string(all) + " elements; given " + std::to_string(count));
  auto copy = std::make_unique_for_overwrite<char[]>(count * own_bytes);
  convert_elements(portable_converters, copy.get(), state.dtype, reinterpret_cast<const char*>(values.Data()), dtype, count);
  const size_t begin = static_cast<size_t>(state.offset) + static_cast<size_t>(at) * own_bytes;
  return handle.dispatcher->add(std::make_unique<WriteStateJob>(info.Env(), handle, begin, count * own_bytes, std::move(copy)));
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
  exports.Set("readState", Napi::Function::New<entry<read_state>>(env));
  exports.Set("writeState", Napi::Function::New<entry<write_state>>(env));
  exports.Set("disposeExecutable", Napi::Function::New<entry<dispose_executable>>(env));
}

}  // namespace weft
