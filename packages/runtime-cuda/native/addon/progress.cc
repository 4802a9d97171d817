#include "addon/progress.h"

namespace weft::cuda {

// Beside `deliver`, whose address must be a constant also to a compiler that checks for undefined behaviour.
ProgressCall::ProgressCall(Napi::Env env, Napi::Function function)
    : function_(Calls::New(env, function, "weft load progress", 0, 1)) {
  // The load's own promise keeps the process alive.
  function_.Unref(env);
}

void ProgressCall::deliver(Napi::Env env, Napi::Function callback, std::nullptr_t*, Amount* amount) noexcept {
  const std::unique_ptr<Amount> owned(amount);
  // What was not delivered when the environment ends comes without one, or with one that runs nothing any more.
  if (static_cast<napi_env>(env) == nullptr || callback.IsEmpty()) return;
  try {
    const Napi::HandleScope scope(env);
    try {
      callback.Call({Napi::Number::New(env, static_cast<double>(owned->done)),
                     Napi::Number::New(env, static_cast<double>(owned->total))});
    } catch (const Napi::Error& error) {
      // The callback's own: an uncaught exception of the program, if there is still a program.
      if (!error.IsEmpty()) napi_fatal_exception(env, error.Value());
    }
  } catch (...) {
  }
}

}  // namespace weft::cuda
