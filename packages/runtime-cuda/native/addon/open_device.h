// Opening a device: which driver, with which options.
#pragma once

#include <napi.h>

namespace weft::cuda {

// openDevice(kind, { waitSeconds, waitForEachLaunch, overlapLaunches, ... }): promise of a device handle. `kind`: "cuda" with `index`,
// "cuda-sim" with the simulator's options, "recording" with { facts, faults }.
Napi::Value open_device(const Napi::CallbackInfo& info);

// { name, computeCapability, multiprocessors, sharedBytesPerBlock, totalBytes, freeBytes, driverVersion }.
Napi::Value device_facts(const Napi::CallbackInfo& info);

// takeCalls(device): what a recording driver was asked since the last time, and what it still holds.
Napi::Value take_calls(const Napi::CallbackInfo& info);

Napi::Value dispose_device(const Napi::CallbackInfo& info);

}  // namespace weft::cuda
