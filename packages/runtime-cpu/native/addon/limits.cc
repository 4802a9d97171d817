#include "addon/limits.h"

#include <functional>
#include <utility>

#include "error.h"
#include "machine/limits.h"
#include "node/values.h"

namespace weft::cpu {
namespace {

// One number, by a thread of Node's pool. Deletes itself.
class Measurement final : public Napi::AsyncWorker {
 public:
  Measurement(Napi::Env env, std::function<double()> measure)
      : AsyncWorker(env), deferred_(Napi::Promise::Deferred::New(env)), measure_(std::move(measure)) {}

  Napi::Promise promise() const { return deferred_.Promise(); }
  // What it throws rejects.
  void Execute() override { result_ = measure_(); }
  void OnOK() override { deferred_.Resolve(Napi::Number::New(Env(), result_)); }
  void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

 private:
  Napi::Promise::Deferred deferred_;
  std::function<double()> measure_;
  double result_ = 0;
};

Napi::Value begin(Napi::Env env, std::function<double()> measure) {
  auto* measurement = new Measurement(env, std::move(measure));
  const Napi::Promise promise = measurement->promise();
  measurement->Queue();
  return promise;
}

}  // namespace

Napi::Value measure_read_bandwidth_entry(const Napi::CallbackInfo& info) {
  const int threads = static_cast<int>(integer(info[0], "threads"));
  const size_t bytes = static_cast<size_t>(integer(info[1], "bytes"));
  return begin(info.Env(), [=] { return measure_read_bandwidth(threads, bytes); });
}

Napi::Value measure_multiply_add_rate_entry(const Napi::CallbackInfo& info) {
  const int threads = static_cast<int>(integer(info[0], "threads"));
  return begin(info.Env(), [=] { return measure_multiply_add_rate(threads); });
}

}  // namespace weft::cpu
