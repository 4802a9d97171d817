// A JavaScript function that the dispatcher's thread tells how far loading is.
#pragma once

#include <napi.h>

#include <memory>

#include "exec/weight_upload.h"

namespace weft::cuda {

class ProgressCall {
 public:
  ProgressCall(Napi::Env env, Napi::Function function)
      : function_(Napi::ThreadSafeFunction::New(env, function, "weft load progress", 0, 1)) {
    // The load's own promise keeps the process alive.
    function_.Unref(env);
  }
  ~ProgressCall() { function_.Release(); }
  ProgressCall(const ProgressCall&) = delete;
  ProgressCall& operator=(const ProgressCall&) = delete;

  Progress function() {
    return [this](size_t done, size_t total) {
      function_.NonBlockingCall([done, total](Napi::Env env, Napi::Function callback) {
        callback.Call({Napi::Number::New(env, static_cast<double>(done)), Napi::Number::New(env, static_cast<double>(total))});
      });
    };
  }

 private:
  Napi::ThreadSafeFunction function_;
};

// Nothing for undefined.
inline std::unique_ptr<ProgressCall> progress_call(const Napi::Value& value) {
  if (!value.IsFunction()) return nullptr;
  return std::make_unique<ProgressCall>(value.Env(), value.As<Napi::Function>());
}

}  // namespace weft::cuda
