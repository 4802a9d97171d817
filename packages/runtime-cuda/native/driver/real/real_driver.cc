#include "driver/real/real_driver.h"

#include <string>
#include <utility>

#include "driver/real/cubin.h"
#include "driver/real/cuda_api.h"
#include "error.h"
#include "libraries/cublaslt.h"

namespace weft::cuda {
namespace {

constexpr Status invalid_image = 200;

// Handles of the interface are the driver's pointers.
template <class Object>
Object object(uint64_t handle) {
  return reinterpret_cast<Object>(static_cast<uintptr_t>(handle));
}
template <class Object>
uint64_t handle(Object object) {
  return static_cast<uint64_t>(reinterpret_cast<uintptr_t>(object));
}

std::string explain_with(const CudaApi& api, Status status) {
  const char *name = nullptr, *text = nullptr;
  api.get_error_name(status, &name);
  api.get_error_string(status, &text);
  if (!name) return "error " + std::to_string(status);
  return std::string(name) + " (" + (text ? text : "no description") + ")";
}

class RealDriver final : public Driver {
 public:
  RealDriver(const CudaApi& api, CuDevice device, CuContext context)
      : api_(api), device_(device), context_(context) {}
  ~RealDriver() override { api_.device_primary_ctx_release(device_); }

  std::string explain(Status status) override { return explain_with(api_, status); }
  std::string details() override { return std::exchange(details_, {}); }

  Status facts(DeviceFacts& facts) override {
    return with([&] { return ask(facts); });
  }

  Status allocate(DevicePointer& pointer, size_t bytes) override {
    CuDevicePtr result = 0;
    const Status status = with([&] { return api_.mem_alloc(&result, bytes); });
    pointer = result;
    return status;
  }
  Status free(DevicePointer pointer) override {
    return with([&] { return api_.mem_free(pointer); });
  }
  Status allocate_host(void*& pointer, size_t bytes) override {
    return with([&] { return api_.mem_host_alloc(&pointer, bytes, 0); });
  }
  Status free_host(void* pointer) override {
    return with([&] { return api_.mem_free_host(pointer); });
  }

  Status copy_to_device(DevicePointer to, const void* from, size_t bytes, Stream stream) override {
    return with([&] { return api_.memcpy_htod_async(to, from, bytes, object<CuStream>(stream)); });
  }
  Status copy_to_host(void* to, DevicePointer from, size_t bytes, Stream stream) override {
    return with([&] { return api_.memcpy_dtoh_async(to, from, bytes, object<CuStream>(stream)); });
  }
  Status copy_on_device(DevicePointer to, DevicePointer from, size_t bytes, Stream stream) override {
    return with([&] { return api_.memcpy_dtod_async(to, from, bytes, object<CuStream>(stream)); });
  }
  Status fill(DevicePointer pointer, uint8_t value, size_t bytes, Stream stream) override {
    return with([&] { return api_.memset_d8_async(pointer, value, bytes, object<CuStream>(stream)); });
  }

  Status create_stream(Stream& stream) override {
    // Not held up by work of others on the default stream.
    return make<CuStream>(stream, [&](CuStream* result) { return api_.stream_create(result, stream_non_blocking); });
  }
  Status destroy_stream(Stream stream) override {
    return with([&] { return api_.stream_destroy(object<CuStream>(stream)); });
  }
  Status create_event(Event& event) override {
    return make<CuEvent>(event, [&](CuEvent* result) { return api_.event_create(result, 0); });
  }
  Status destroy_event(Event event) override {
    return with([&] { return api_.event_destroy(object<CuEvent>(event)); });
  }
  Status record_event(Event event, Stream stream) override {
    return with([&] { return api_.event_record(object<CuEvent>(event), object<CuStream>(stream)); });
  }
  Status query_event(Event event) override {
    return with([&] { return api_.event_query(object<CuEvent>(event)); });
  }
  Status wait_event(Stream stream, Event event) override {
    return with([&] { return api_.stream_wait_event(object<CuStream>(stream), object<CuEvent>(event), 0); });
  }
  Status elapsed(float& milliseconds, Event from, Event to) override {
    return with([&] { return api_.event_elapsed_time(&milliseconds, object<CuEvent>(from), object<CuEvent>(to)); });
  }

  Status load_module(Module& module, const void* image, size_t bytes) override {
    details_ = cubin_fault(image, bytes);
    if (!details_.empty()) return invalid_image;
    return make<CuModule>(module, [&](CuModule* result) { return api_.module_load_data(result, image); });
  }
  Status unload_module(Module module) override {
    return with([&] { return api_.module_unload(object<CuModule>(module)); });
  }
  Status get_function(Function& function, Module module, const char* name) override {
    return make<CuFunction>(function, [&](CuFunction* result) { return api_.module_get_function(result, object<CuModule>(module), name); });
  }
  Status allow_shared_bytes(Function function, size_t bytes) override {
    return with([&] {
      return api_.func_set_attribute(object<CuFunction>(function), function_max_dynamic_shared_bytes, static_cast<int>(bytes));
    });
  }

  Status launch(const Launch& launch) override {
    CuLaunchAttribute attribute;
    attribute.id = attribute_programmatic_stream_serialization;
    attribute.value.programmatic_stream_serialization_allowed = 1;
    CuLaunchConfig config{};
    config.grid[0] = launch.blocks;
    config.block[0] = launch.threads;
    config.grid[1] = config.grid[2] = config.block[1] = config.block[2] = 1;
    config.shared_bytes = launch.shared_bytes;
    config.stream = object<CuStream>(launch.stream);
    config.attributes = launch.overlaps_previous ? &attribute : nullptr;
    config.attribute_count = launch.overlaps_previous ? 1 : 0;
    size_t bytes = launch.args_bytes;
    void* extra[] = {launch_param_buffer_pointer, const_cast<void*>(launch.args), launch_param_buffer_size, &bytes,
                     launch_param_end};
    return with([&] { return api_.launch_kernel_ex(&config, object<CuFunction>(launch.function), nullptr, extra); });
  }

  Status begin_capture(Stream stream) override {
    // Other threads may go on with calls that a capture forbids: their devices are none of its business.
    return with([&] { return api_.stream_begin_capture(object<CuStream>(stream), capture_thread_local); });
  }
  Status end_capture(Stream stream, Graph& graph) override {
    return with([&] {
      CuGraph recorded = nullptr;
      if (const Status status = api_.stream_end_capture(object<CuStream>(stream), &recorded)) return status;
      CuGraphExec executable = nullptr;
      const Status status = api_.graph_instantiate_with_flags(&executable, recorded, 0);
      api_.graph_destroy(recorded);
      graph = handle(executable);
      return status;
    });
  }
  Status launch_graph(Graph graph, Stream stream) override {
    return with([&] { return api_.graph_launch(object<CuGraphExec>(graph), object<CuStream>(stream)); });
  }
  Status destroy_graph(Graph graph) override {
    return with([&] { return api_.graph_exec_destroy(object<CuGraphExec>(graph)); });
  }

  std::unique_ptr<MatmulLibrary> open_matmul_library(std::string& why) override {
    try {
      int version = 0;
      if (const Status status = api_.driver_get_version(&version)) throw Error("cuDriverGetVersion must succeed; " + explain(status));
      return make_cublaslt(cublaslt_for(version), [this](const std::function<void()>& call) -> std::string {
        const Status status = with([&] {
          call();
          return success;
        });
        return status == success ? "" : "the GPU's context must be set; " + explain(status);
      });
    } catch (const Error& error) {
      why = error.what();
      return nullptr;
    }
  }

 private:
  // In this driver's context. Another library of the process may make its own current on the same thread at any time, and
  // relies on finding it again: nothing is remembered between calls, and what was current before is so again afterwards.
  template <class Call>
  Status with(Call&& call) {
    if (const Status status = api_.ctx_push_current(context_)) return status;
    const Status status = call();
    CuContext own = nullptr;
    const Status left = api_.ctx_pop_current(&own);
    return status != success ? status : left;
  }
  template <class Object, class Call>
  Status make(uint64_t& result, Call&& call) {
    Object made = nullptr;
    const Status status = with([&] { return call(&made); });
    result = handle(made);
    return status;
  }
  Status ask(DeviceFacts& facts) {
    char name[256] = "";
    if (const Status status = api_.device_get_name(name, sizeof name, device_)) return status;
    facts.name = name;
    const auto attribute = [&](int which, int& value) { return api_.device_get_attribute(&value, which, device_); };
    int major = 0, minor = 0, shared = 0;
    if (const Status status = attribute(device_compute_capability_major, major)) return status;
    if (const Status status = attribute(device_compute_capability_minor, minor)) return status;
    if (const Status status = attribute(device_multiprocessor_count, facts.multiprocessors)) return status;
    if (const Status status = attribute(device_max_shared_bytes_per_block_optin, shared)) return status;
    facts.compute_capability = 10 * major + minor;
    facts.shared_bytes_per_block = static_cast<size_t>(shared);
    if (const Status status = api_.driver_get_version(&facts.driver_version)) return status;
    return api_.mem_get_info(&facts.free_bytes, &facts.total_bytes);
  }

  const CudaApi& api_;
  CuDevice device_;
  CuContext context_;
  std::string details_;
};

// The library is opened, and the driver initialised, once. A failure is tried again the next time: a user may have put
// right what was missing.
const CudaApi& cuda_api() {
  static const CudaApi api = [] {
    const SharedLibrary library =
        open_library(driver_places(), "an NVIDIA driver must be installed (its library libcuda.so.1)",
                     "install the driver, or name the library in WEFT_LIBCUDA; without a GPU, use the device cpu or cuda-sim");
    const CudaApi loaded = load_cuda_api(library);
    if (const Status status = loaded.init(0))
      throw Error("[cuda] cuInit must succeed; " + explain_with(loaded, status) + "; " + library.path +
                  "; is there a GPU, and may this process use it (/dev/nvidia0, container options)?");
    return loaded;
  }();
  return api;
}

}  // namespace

std::unique_ptr<Driver> open_real_driver(int index) {
  const CudaApi& api = cuda_api();
  const auto check = [&](Status status, const char* call) {
    if (status != success) throw Error("[cuda] " + std::string(call) + " must succeed; " + explain_with(api, status) + "; opening GPU " + std::to_string(index));
  };
  int count = 0;
  check(api.device_get_count(&count), "cuDeviceGetCount");
  if (count == 0) throw Error("[cuda] a GPU must be present; the driver knows none; check nvidia-smi and CUDA_VISIBLE_DEVICES");
  if (index >= count)
    throw Error("[cuda] the GPU's index must be 0 to " + std::to_string(count - 1) + "; " + std::to_string(index));
  CuDevice device = 0;
  check(api.device_get(&device, index), "cuDeviceGet");
  CuContext context = nullptr;
  check(api.device_primary_ctx_retain(&context, device), "cuDevicePrimaryCtxRetain");
  return std::make_unique<RealDriver>(api, device, context);
}

}  // namespace weft::cuda
