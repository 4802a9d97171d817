#include "driver/real/cuda_api.h"

#include <string>

#include "driver/driver.h"
#include "error.h"

namespace weft::cuda {
namespace {

[[noreturn]] void refuse_driver(const SharedLibrary& library, const std::string& given) {
  throw Error("[cuda] the driver must support CUDA " + version_text(least_driver_version) + " or later; " + library.path + " " +
              given + "; update the NVIDIA driver");
}

}  // namespace

CudaApi load_cuda_api(const SharedLibrary& library) {
  // Only these two are looked up by their names as symbols; all others by name and version.
  const auto version_of = reinterpret_cast<CuResult (*)(int*)>(library.entry("cuDriverGetVersion"));
  if (!version_of) refuse_driver(library, "is no CUDA driver: it has no cuDriverGetVersion");
  int version = 0;
  if (version_of(&version) != 0) refuse_driver(library, "does not tell its version");
  if (version < least_driver_version) refuse_driver(library, "supports " + version_text(version));
  using GetProcAddress = CuResult (*)(const char*, void**, int, uint64_t, int*);
  const auto get = reinterpret_cast<GetProcAddress>(library.entry("cuGetProcAddress_v2"));
  if (!get) refuse_driver(library, "has no cuGetProcAddress_v2");

  CudaApi api{};
  const auto take = [&]<class Function>(Function*& function, const char* name) {
    void* address = nullptr;
    int found = 0;
    const CuResult status = get(name, &address, least_driver_version, 0, &found);
    if (status != 0 || !address)
      refuse_driver(library, std::string("has no ") + name + " (status " + std::to_string(status) + ", " + std::to_string(found) + ")");
    function = reinterpret_cast<Function*>(address);
  };
  take(api.init, "cuInit");
  take(api.driver_get_version, "cuDriverGetVersion");
  take(api.get_error_name, "cuGetErrorName");
  take(api.get_error_string, "cuGetErrorString");
  take(api.device_get_count, "cuDeviceGetCount");
  take(api.device_get, "cuDeviceGet");
  take(api.device_get_name, "cuDeviceGetName");
  take(api.device_get_attribute, "cuDeviceGetAttribute");
  take(api.device_primary_ctx_retain, "cuDevicePrimaryCtxRetain");
  take(api.device_primary_ctx_release, "cuDevicePrimaryCtxRelease");
  take(api.ctx_push_current, "cuCtxPushCurrent");
  take(api.ctx_pop_current, "cuCtxPopCurrent");
  take(api.mem_get_info, "cuMemGetInfo");
  take(api.mem_alloc, "cuMemAlloc");
  take(api.mem_free, "cuMemFree");
  take(api.mem_host_alloc, "cuMemHostAlloc");
  take(api.mem_free_host, "cuMemFreeHost");
  take(api.memcpy_htod_async, "cuMemcpyHtoDAsync");
  take(api.memcpy_dtoh_async, "cuMemcpyDtoHAsync");
  take(api.memcpy_dtod_async, "cuMemcpyDtoDAsync");
  take(api.memset_d8_async, "cuMemsetD8Async");
  take(api.stream_create, "cuStreamCreate");
  take(api.stream_destroy, "cuStreamDestroy");
  take(api.stream_wait_event, "cuStreamWaitEvent");
  take(api.event_create, "cuEventCreate");
  take(api.event_destroy, "cuEventDestroy");
  take(api.event_record, "cuEventRecord");
  take(api.event_query, "cuEventQuery");
  take(api.event_elapsed_time, "cuEventElapsedTime");
  take(api.module_load_data, "cuModuleLoadData");
  take(api.module_unload, "cuModuleUnload");
  take(api.module_get_function, "cuModuleGetFunction");
  take(api.func_set_attribute, "cuFuncSetAttribute");
  take(api.launch_kernel_ex, "cuLaunchKernelEx");
  take(api.stream_begin_capture, "cuStreamBeginCapture");
  take(api.stream_end_capture, "cuStreamEndCapture");
  take(api.graph_instantiate_with_flags, "cuGraphInstantiateWithFlags");
  take(api.graph_launch, "cuGraphLaunch");
  take(api.graph_exec_destroy, "cuGraphExecDestroy");
  take(api.graph_destroy, "cuGraphDestroy");
  return api;
}

}  // namespace weft::cuda
