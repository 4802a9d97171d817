// A JavaScript function that the dispatcher's thread tells how far loading is.
#pragma once

#include <napi.h>

#include <memory>

#include "exec/weight_upload.h"

namespace weft::cuda {

class ProgressCall {
 public:
  ProgressCall(Napi::Env env, Napi::Function function);
  ~ProgressCall() { function_.Release(); }
  ProgressCall(const ProgressCall&) = delete;
  ProgressCall& operator=(const ProgressCall&) = delete;

  Progress function() {
    return [this](size_t done, size_t total) {
      auto amount = std::make_unique<Amount>(Amount{done, total});
      if (function_.NonBlockingCall(amount.get()) == napi_ok) static_cast<void>(amount.release());
    };
  }

 private:
  struct Amount {
    size_t done, total;
  };

  static void deliver(Napi::Env env, Napi::Function callback, std::nullptr_t*, Amount* amount) noexcept;
  using Calls = Napi::TypedThreadSafeFunction<std::nullptr_t, Amount, deliver>;

  Calls function_;
};

// Nothing for undefined.
inline std::unique_ptr<ProgressCall> progress_call(const Napi::Value& value) {
  if (!value.IsFunction()) return nullptr;
  return std::make_unique<ProgressCall>(value.Env(), value.As<Napi::Function>());
}

}  // namespace weft::cuda
