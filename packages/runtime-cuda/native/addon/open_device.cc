#include "addon/open_device.h"

#include <cmath>
#include <functional>

#include "addon/handles.h"
#include "driver/real/real_driver.h"
#include "driver/simulated/simulated_driver.h"
#include "error.h"
#include "node/values.h"

namespace weft::cuda {
namespace {

double positive(const Napi::Value& value, const std::string& what) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : NAN;
  if (!(number > 0)) throw Error(what + " must be a positive number");
  return number;
}

int64_t natural(const Napi::Object& object, const char* name) {
  const int64_t value = integer(object.Get(name), name);
  if (value < 0) throw Error(std::string(name) + " must not be negative");
  return value;
}

DeviceFacts facts_of(const Napi::Object& given) {
  DeviceFacts facts;
  facts.name = text(given.Get("name"), "name");
  facts.compute_capability = static_cast<int>(natural(given, "computeCapability"));
  facts.multiprocessors = static_cast<int>(natural(given, "multiprocessors"));
  facts.shared_bytes_per_block = static_cast<size_t>(natural(given, "sharedBytesPerBlock"));
  facts.total_bytes = static_cast<size_t>(natural(given, "totalBytes"));
  facts.free_bytes = static_cast<size_t>(natural(given, "freeBytes"));
  facts.driver_version = static_cast<int>(natural(given, "driverVersion"));
  return facts;
}

RecordingOptions recording_options(const Napi::Object& given) {
  RecordingOptions options;
  options.facts = facts_of(object(given.Get("facts"), "facts"));
  const Napi::Value faults = given.Get("faults");
  if (!faults.IsArray()) throw Error("faults must be an array");
  for (uint32_t i = 0; i < faults.As<Napi::Array>().Length(); ++i) {
    const Napi::Object fault = object(faults.As<Napi::Array>().Get(i), "a fault");
    options.faults.push_back({text(fault.Get("call"), "call"), static_cast<uint64_t>(natural(fault, "at")),
                              static_cast<uint64_t>(natural(fault, "times")), static_cast<Status>(natural(fault, "status"))});
  }
  return options;
}

SimulatorOptions simulator_options(const Napi::Object& given) {
  // What is not given comes from the environment, or is the simulator's own choice.
  SimulatorOptions options = SimulatorOptions::from_environment();
  const auto take = [&](const char* name, auto& field) {
    if (!given.Get(name).IsUndefined()) field = static_cast<std::decay_t<decltype(field)>>(natural(given, name));
  };
  take("seed", options.seed);
  take("totalBytes", options.total_bytes);
  take("multiprocessors", options.multiprocessors);
  take("computeCapability", options.compute_capability);
  if (options.multiprocessors < 1 || options.multiprocessors > 1024) throw Error("multiprocessors must be 1 to 1024");
  if (!given.Get("launchSeconds").IsUndefined()) options.most_seconds = positive(given.Get("launchSeconds"), "launchSeconds");
  if (!given.Get("lateFailures").IsUndefined()) options.late_failures = given.Get("lateFailures").ToBoolean().Value();
  return options;
}

using DriverMaker = std::function<std::unique_ptr<Driver>()>;

class OpenJob final : public Job {
 public:
  OpenJob(Napi::Env env, std::shared_ptr<Dispatcher> dispatcher, DriverMaker make, const GpuOptions& options,
          std::shared_ptr<Recording> recording)
      : Job(env), target_(std::move(dispatcher)), make_(std::move(make)), options_(options), recording_(std::move(recording)) {}

  void execute() override { gpu_ = std::make_shared<Gpu>(make_(), options_); }
  Napi::Value result(Napi::Env env) override {
    auto handle = std::make_unique<DeviceHandle>();
    handle->dispatcher = target_;
    handle->gpu = gpu_;
    handle->recording = recording_;
    return wrap(env, std::move(handle));
  }

 private:
  std::shared_ptr<Dispatcher> target_;
  DriverMaker make_;
  GpuOptions options_;
  std::shared_ptr<Recording> recording_;
  std::shared_ptr<Gpu> gpu_;
};

}  // namespace

Napi::Value open_device(const Napi::CallbackInfo& info) {
  const std::string kind = text(info[0], "kind");
  const Napi::Object given = object(info[1], "options");
  GpuOptions options;
  options.wait_seconds = positive(given.Get("waitSeconds"), "waitSeconds");
  options.wait_for_each_launch = given.Get("waitForEachLaunch").ToBoolean().Value();
  options.overlap_launches = given.Get("overlapLaunches").ToBoolean().Value();
  options.use_matmul_library = given.Get("useMatmulLibrary").ToBoolean().Value();
  std::shared_ptr<Recording> recording;
  DriverMaker make;
  if (kind == "cuda") {
    make = [index = static_cast<int>(natural(given, "index"))] { return open_real_driver(index); };
  } else if (kind == "cuda-sim") {
    make = [simulated = simulator_options(given)] { return std::make_unique<SimulatedDriver>(simulated); };
  } else if (kind == "recording") {
    recording = std::make_shared<Recording>();
    make = [recording, recorded = recording_options(given)] { return std::make_unique<RecordingDriver>(recorded, recording); };
  } else {
    throw Error("there is no device \"" + kind + "\"");
  }
  auto dispatcher = std::make_shared<Dispatcher>(info.Env());
  return dispatcher->add(std::make_unique<OpenJob>(info.Env(), dispatcher, std::move(make), options, std::move(recording)));
}

Napi::Value device_facts(const Napi::CallbackInfo& info) {
  const DeviceFacts& facts = unwrap<DeviceHandle>(info[0]).gpu->facts();
  Napi::Object result = Napi::Object::New(info.Env());
  const auto set = [&](const char* name, auto value) { result.Set(name, Napi::Number::New(info.Env(), static_cast<double>(value))); };
  result.Set("name", facts.name);
  set("computeCapability", facts.compute_capability);
  set("multiprocessors", facts.multiprocessors);
  set("sharedBytesPerBlock", facts.shared_bytes_per_block);
  set("totalBytes", facts.total_bytes);
  set("freeBytes", facts.free_bytes);
  set("driverVersion", facts.driver_version);
  return result;
}

Napi::Value take_calls(const Napi::CallbackInfo& info) {
  const DeviceHandle& device = unwrap<DeviceHandle>(info[0]);
  if (!device.recording) throw Error("the device does not record");
  const Napi::Env env = info.Env();
  Napi::Array calls = Napi::Array::New(env);
  for (const RecordedCall& call : device.recording->take()) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("name", call.name);
    if (!call.text.empty()) entry.Set("text", call.text);
    for (const auto& [name, number] : call.numbers) entry.Set(name, Napi::Number::New(env, static_cast<double>(number)));
    if (call.name == "launch" || call.name == "multiply") {
      Napi::Array words = Napi::Array::New(env, call.words.size());
      for (size_t i = 0; i < call.words.size(); ++i)
        words.Set(static_cast<uint32_t>(i), Napi::Number::New(env, static_cast<double>(call.words[i])));
      entry.Set("words", words);
    }
    if (call.is_captured) entry.Set("isCaptured", true);
    calls.Set(calls.Length(), entry);
  }
  Napi::Object live = Napi::Object::New(env);
  for (const auto& [kind, count] : device.recording->live()) live.Set(kind, static_cast<double>(count));
  Napi::Object result = Napi::Object::New(env);
  result.Set("calls", calls);
  result.Set("live", live);
  return result;
}

Napi::Value dispose_device(const Napi::CallbackInfo& info) {
  const DeviceHandle& device = unwrap<DeviceHandle>(info[0]);
  device.dispatcher->close();
  // The dispatcher's thread is gone: this one is the only one now.
  device.gpu->close();
  return info.Env().Undefined();
}

}  // namespace weft::cuda
