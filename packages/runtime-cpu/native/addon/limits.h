// What the machine can do at best, measured away from JavaScript's thread.
#pragma once

#include <napi.h>

namespace weft::cpu {

// measureReadBandwidth(threads, bytes): promise of bytes per second.
Napi::Value measure_read_bandwidth_entry(const Napi::CallbackInfo& info);
// measureMultiplyAddRate(threads): promise of f32 operations per second.
Napi::Value measure_multiply_add_rate_entry(const Napi::CallbackInfo& info);

}  // namespace weft::cpu
