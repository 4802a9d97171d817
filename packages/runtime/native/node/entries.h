// The entries that every addon has: plans and loaded plans. Each addon adds those of its device.
#pragma once

#include "node/handles.h"
#include "node/values.h"

namespace weft {

// A function of the addon, its C++ exceptions made JavaScript's.
template <Napi::Value (*function)(const Napi::CallbackInfo&)>
Napi::Value entry(const Napi::CallbackInfo& info) {
  return guarded(info, function);
}

// preparePlan, echoPlan, weightsOf, run, runsAhead, memory, reset, shiftState, saveState, restoreState, readState,
// writeState,
// disposeExecutable.
void add_shared_entries(Napi::Env env, Napi::Object exports);

// { memoryLimitBytes, checkWeights }.
LoadOptions load_options(const Napi::Value& value);

// { executable, program, symbols, inputs, outputs?, profile } as arguments; resolves to { outputs, times?, spans? }.
Napi::Value start_run(const Napi::CallbackInfo& info);

}  // namespace weft
