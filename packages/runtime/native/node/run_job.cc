#include "node/run_job.h"

#include <cstring>

#include "error.h"
#include "node/port_layout.h"
#include "validate.h"
#include "weights/convert_elements.h"

namespace weft {

RunJob::RunJob(Napi::Env env, ExecutableHandle& handle, size_t program, std::vector<int64_t> symbols,
               std::vector<Output> outputs, bool profile)
    : Job(env), executable_(handle.open()), flight_(handle.flight), symbols_(std::move(symbols)),
      outputs_(std::move(outputs)), wanted_(executable_->plan().programs[program].outputs.size(), false),
      failures_told_(flight_->failures_told()) {
  for (const Output& output : outputs_) wanted_[output.index] = true;
  if (profile) times_.emplace(executable_->plan().programs[program].steps.size(), executable_->lanes());
  run_ = {program, 0, symbols_.data(), &wanted_, times_ ? &*times_ : nullptr};
  // Times are those of a run that is alone.
  if (!(profile ? flight_->is_idle() : flight_->admits(program, executable_->runs_ahead(program))))
    throw Error("internal: [runtime] the executable is busy");
  if (profile) flight_->enter_alone();
  else run_.slot = flight_->enter(program);
  is_in_flight_ = true;
}

void RunJob::leave() noexcept {
  if (!std::exchange(is_in_flight_, false)) return;
  if (times_) flight_->leave_alone();
  else flight_->leave(run_.slot);
}

void RunJob::finished() {
  if (has_failed_flight_) flight_->tell_failure();
  leave();
}

void RunJob::execute() {
  if (flight_->has_failed_since(failures_told_)) {
    earlier_failure_ = flight_->failure();
    return;
  }
  try {
    executable_->check(run_);
  } catch (...) {
    // Nothing has been touched: those behind it go on.
    failure_ = std::current_exception();
    return;
  }
  try {
    executable_->put(run_);
  } catch (const std::exception& error) {
    failure_ = std::current_exception();
    fail_flight(error.what());
  }
}

bool RunJob::finish(const std::function<bool()>& interrupted) {
  // First: an error of the device shows in whatever is asked of it next, so its own may be that of the run before it.
  if (!earlier_failure_.empty()) throw_earlier_failure();
  if (failure_) std::rethrow_exception(failure_);
  try {
    return executable_->finish(run_, interrupted);
  } catch (const std::exception& error) {
    fail_flight(error.what());
    throw;
  }
}

bool RunJob::may_follow(const Job& earlier) const {
  const auto* run = dynamic_cast<const RunJob*>(&earlier);
  return run && run->executable_ == executable_ && run->run_.program == run_.program && !run->times_ && !times_ &&
         executable_->runs_ahead(run_.program) > 1;
}

void RunJob::earlier_failed(const Job& earlier) {
  const auto* run = dynamic_cast<const RunJob*>(&earlier);
  // One that was refused before it began is nobody else's matter.
  if (run && run->has_failed_flight_) earlier_failure_ = flight_->failure();
}

void RunJob::fail_flight(const std::string& message) {
  flight_->fail(message);
  has_failed_flight_ = true;
}

void RunJob::throw_earlier_failure() const {
  if (executable_->is_stopped()) LoadedPlan::throw_ended();
  const std::string& failure = earlier_failure_;
  // The source of a message stays in front.
  const size_t source = failure.starts_with('[') ? failure.find("] ") : std::string::npos;
  const size_t text = source == std::string::npos ? 0 : source + 2;
  throw Error(failure.substr(0, text) + "a run before this one failed while this one was under way behind it: " + failure.substr(text));
}

Napi::Value RunJob::result(Napi::Env env) {
  // A dispose since its end may have taken the memory of its outputs.
  if (executable_->is_stopped()) LoadedPlan::throw_ended();
  Napi::Object arrays = Napi::Object::New(env);
  for (Output& output : outputs_) {
    const plan::PlanBuffer& buffer = executable_->plan().buffers[static_cast<size_t>(output.port->buffer)];
    Napi::Value array;
    if (!output.array.IsEmpty()) array = output.array.Value();
    else if (buffer.dtype == plan::PlanDtype::i32) array = Napi::Int32Array::New(env, output.elements);
    else array = Napi::Float32Array::New(env, output.elements);
    copy(port_array(array, buffer, output.elements, "output " + output.port->name), buffer, output);
    arrays.Set(output.port->name, array);
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("outputs", arrays);
  if (times_) set_times(env, result);
  return result;
}

// { times: nanoseconds by step, spans: begin, end and waited of [lane][step] }
void RunJob::set_times(Napi::Env env, Napi::Object& result) const {
  Napi::Float64Array times = Napi::Float64Array::New(env, times_->steps.size());
  for (size_t i = 0; i < times_->steps.size(); ++i) times[i] = static_cast<double>(times_->steps[i]);
  result.Set("times", times);
  Napi::Float64Array spans = Napi::Float64Array::New(env, times_->spans.size() * 3);
  size_t at = 0;
  for (const StepSpan& span : times_->spans)
    for (const int64_t nanoseconds : {span.begin, span.end, span.waited}) spans[at++] = static_cast<double>(nanoseconds);
  result.Set("spans", spans);
}

void RunJob::copy(const Napi::TypedArray& array, const plan::PlanBuffer& buffer, const Output& output) const {
  const char* from = executable_->output_data(run_.program, output.index, run_.slot);
  const size_t width = static_cast<size_t>(plan::element_bytes(buffer.dtype));
  each_run(*output.port, buffer, symbols_.data(), [&](size_t element, size_t dense, size_t count) {
    char* to = data_of(array) + dense * 4;
    if (buffer.dtype == plan::PlanDtype::i32 || buffer.dtype == plan::PlanDtype::f32)
      std::memcpy(to, from + element * width, count * width);
    else
      convert_elements(portable_converters, to, plan::PlanDtype::f32, from + element * width, buffer.dtype, count);
  });
}

Napi::TypedArray port_array(const Napi::Value& value, const plan::PlanBuffer& buffer, size_t elements,
                            const std::string& what) {
  const bool is_integer = buffer.dtype == plan::PlanDtype::i32;
  const napi_typedarray_type wanted = is_integer ? napi_int32_array : napi_float32_array;
  const char* name = is_integer ? "an Int32Array" : "a Float32Array";
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != wanted)
    throw Error(what + (value.IsUndefined() ? " is missing; give " : " must be ") + name + " of " +
                std::to_string(elements) + " elements");
  const Napi::TypedArray array = value.As<Napi::TypedArray>();
  if (array.ElementLength() != elements)
    throw Error(what + " has " + std::to_string(array.ElementLength()) + " elements, " + std::to_string(elements) +
                " are needed");
  return array;
}

char* data_of(const Napi::TypedArray& array) {
  return static_cast<char*>(array.ArrayBuffer().Data()) + array.ByteOffset();
}

}  // namespace weft
