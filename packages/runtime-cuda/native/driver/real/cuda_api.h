// The part of the CUDA driver API that is used: own declarations of its ABI as of CUDA 12.0, so that no toolkit is
// needed. Names without the prefix `cu`; the comment gives what differs from the plain name.
#pragma once

#include <cstddef>
#include <cstdint>

#include "libraries/shared_library.h"

namespace weft::cuda {

using CuResult = int;
using CuDevice = int;
using CuDevicePtr = unsigned long long;
using CuContext = struct CuContextObject*;
using CuStream = struct CuStreamObject*;
using CuEvent = struct CuEventObject*;
using CuModule = struct CuModuleObject*;
using CuFunction = struct CuFunctionObject*;
using CuGraph = struct CuGraphObject*;
using CuGraphExec = struct CuGraphExecObject*;

// CUlaunchAttribute: an id, padding to 8 bytes, a union of 64 bytes.
struct CuLaunchAttribute {
  int id = 0;
  int padding = 0;
  union {
    long long whole[8];
    int programmatic_stream_serialization_allowed;
  } value{};
};
static_assert(sizeof(CuLaunchAttribute) == 72 && offsetof(CuLaunchAttribute, value) == 8);
inline constexpr int attribute_programmatic_stream_serialization = 6;

// CUlaunchConfig.
struct CuLaunchConfig {
  unsigned grid[3];
  unsigned block[3];
  unsigned shared_bytes;
  CuStream stream;
  CuLaunchAttribute* attributes;
  unsigned attribute_count;
};
static_assert(sizeof(CuLaunchConfig) == 56 && offsetof(CuLaunchConfig, stream) == 32);

// Markers of the list `extra` of a launch.
inline void* const launch_param_end = nullptr;
inline void* const launch_param_buffer_pointer = reinterpret_cast<void*>(1);
inline void* const launch_param_buffer_size = reinterpret_cast<void*>(2);

enum CuDeviceAttribute {
  device_multiprocessor_count = 16,
  device_compute_capability_major = 75,
  device_compute_capability_minor = 76,
  device_max_shared_bytes_per_block_optin = 97,
};
enum CuFunctionAttribute {
  function_max_dynamic_shared_bytes = 8,
};
inline constexpr unsigned stream_non_blocking = 1;
inline constexpr int capture_thread_local = 1;

struct CudaApi {
  CuResult (*init)(unsigned flags);
  CuResult (*driver_get_version)(int* version);
  CuResult (*get_error_name)(CuResult, const char**);
  CuResult (*get_error_string)(CuResult, const char**);
  CuResult (*device_get_count)(int* count);
  CuResult (*device_get)(CuDevice*, int ordinal);
  CuResult (*device_get_name)(char* name, int bytes, CuDevice);
  CuResult (*device_get_attribute)(int* value, int attribute, CuDevice);
  CuResult (*device_primary_ctx_retain)(CuContext*, CuDevice);
  CuResult (*device_primary_ctx_release)(CuDevice);                            // _v2
  CuResult (*ctx_push_current)(CuContext);                                     // _v2
  CuResult (*ctx_pop_current)(CuContext*);                                     // _v2
  CuResult (*mem_get_info)(size_t* free, size_t* total);                       // _v2
  CuResult (*mem_alloc)(CuDevicePtr*, size_t bytes);                           // _v2
  CuResult (*mem_free)(CuDevicePtr);                                           // _v2
  CuResult (*mem_host_alloc)(void**, size_t bytes, unsigned flags);
  CuResult (*mem_free_host)(void*);
  CuResult (*memcpy_htod_async)(CuDevicePtr, const void*, size_t, CuStream);   // _v2
  CuResult (*memcpy_dtoh_async)(void*, CuDevicePtr, size_t, CuStream);         // _v2
  CuResult (*memcpy_dtod_async)(CuDevicePtr, CuDevicePtr, size_t, CuStream);   // _v2
  CuResult (*memset_d8_async)(CuDevicePtr, unsigned char, size_t, CuStream);
  CuResult (*stream_create)(CuStream*, unsigned flags);
  CuResult (*stream_destroy)(CuStream);                                        // _v2
  CuResult (*stream_wait_event)(CuStream, CuEvent, unsigned flags);
  CuResult (*event_create)(CuEvent*, unsigned flags);
  CuResult (*event_destroy)(CuEvent);                                          // _v2
  CuResult (*event_record)(CuEvent, CuStream);
  CuResult (*event_query)(CuEvent);
  CuResult (*event_elapsed_time)(float* milliseconds, CuEvent, CuEvent);
  CuResult (*module_load_data)(CuModule*, const void* image);
  CuResult (*module_unload)(CuModule);
  CuResult (*module_get_function)(CuFunction*, CuModule, const char* name);
  CuResult (*func_set_attribute)(CuFunction, int attribute, int value);
  CuResult (*launch_kernel_ex)(const CuLaunchConfig*, CuFunction, void** params, void** extra);
  CuResult (*stream_begin_capture)(CuStream, int mode);                        // _v2
  CuResult (*stream_end_capture)(CuStream, CuGraph*);
  CuResult (*graph_instantiate_with_flags)(CuGraphExec*, CuGraph, unsigned long long flags);
  CuResult (*graph_launch)(CuGraphExec, CuStream);
  CuResult (*graph_exec_destroy)(CuGraphExec);
  CuResult (*graph_destroy)(CuGraph);
};

// The least version of the driver, and the ABI that entries are asked for.
inline constexpr int least_driver_version = 12000;

// Throws Error when the driver is too old or lacks an entry.
CudaApi load_cuda_api(const SharedLibrary& library);

}  // namespace weft::cuda
