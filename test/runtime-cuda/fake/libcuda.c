/*
 * A libcuda.so.1 without a GPU: device memory is the host's, kernels do nothing, every call is a line of the file that
 * WEFT_FAKE_LOG names. WEFT_FAKE_VERSION, WEFT_FAKE_COUNT and WEFT_FAKE_INIT change what the driver says of itself;
 * WEFT_FAKE_MISSING names an entry that it lacks, WEFT_FAKE_IMAGE is what it says of images.
 *
 * Another library is at work in the same process: its context is current on every thread when this one begins, and
 * whenever a call leaves none on top of it, it sees to that again.
 */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int Result;
typedef unsigned long long Pointer;

static void note(const char* format, ...) {
  static FILE* file = NULL;
  if (!file && getenv("WEFT_FAKE_LOG")) file = fopen(getenv("WEFT_FAKE_LOG"), "a");
  if (!file) return;
  va_list arguments;
  va_start(arguments, format);
  vfprintf(file, format, arguments);
  va_end(arguments);
  fputc('\n', file);
  fflush(file);
}

static int setting(const char* name, int otherwise) {
  const char* value = getenv(name);
  return value ? atoi(value) : otherwise;
}

static void* handle(void** out) {
  static uintptr_t next = 0x1000;
  next += 0x10;
  return *out = (void*)next;
}

Result cuDriverGetVersion(int* version) {
  *version = setting("WEFT_FAKE_VERSION", 13000);
  return 0;
}
static Result init(unsigned flags) {
  note("cuInit %u", flags);
  return setting("WEFT_FAKE_INIT", 0);
}
static Result error_name(Result status, const char** text) {
  *text = status == 100 ? "CUDA_ERROR_NO_DEVICE" : "CUDA_ERROR_UNKNOWN";
  return 0;
}
static Result error_string(Result status, const char** text) {
  *text = status == 100 ? "no CUDA-capable device is detected" : "unknown error";
  return 0;
}
static Result device_count(int* count) {
  *count = setting("WEFT_FAKE_COUNT", 1);
  return 0;
}
static Result device_get(int* device, int index) {
  *device = 7 + index;
  return 0;
}
static Result device_name(char* name, int bytes, int device) {
  snprintf(name, (size_t)bytes, "fake GPU %d", device);
  return 0;
}
static Result device_attribute(int* value, int attribute, int device) {
  (void)device;
  *value = attribute == 16 ? 132 : attribute == 75 ? setting("WEFT_FAKE_CAPABILITY", 90) / 10 : attribute == 76 ? setting("WEFT_FAKE_CAPABILITY", 90) % 10 : attribute == 97 ? 232448 : -1;
  return 0;
}

#define OURS ((void*)0xc0)
#define OTHERS ((void*)0xf0)
static __thread void* contexts[8] = {OTHERS};
static __thread int depth = 1;

static Result push(void* context) {
  if (depth == 8) return 1;
  contexts[depth++] = context;
  return 0;
}
static Result pop(void** context) {
  if (depth == 0) return 201;
  *context = contexts[--depth];
  if (depth != 1 || contexts[0] != OTHERS) note("the other library's context is gone");
  return 0;
}
/* What every call does that needs a context: CUDA_ERROR_INVALID_CONTEXT without ours. */
static Result in_context(void) {
  const int is_ours = depth > 0 && contexts[depth - 1] == OURS;
  if (depth <= 1) {
    contexts[0] = OTHERS;
    depth = 1;
  }
  if (!is_ours) note("no context of ours");
  return is_ours ? 0 : 201;
}
#define NEEDS_CONTEXT                       \
  do {                                      \
    const Result refused = in_context();    \
    if (refused) return refused;            \
  } while (0)

static Result retain(void** context, int device) {
  note("cuDevicePrimaryCtxRetain %d", device);
  *context = OURS;
  return 0;
}
static Result release(int device) {
  note("cuDevicePrimaryCtxRelease %d", device);
  return 0;
}
static Result mem_info(size_t* available, size_t* total) {
  NEEDS_CONTEXT;
  *available = (size_t)79 << 30;
  *total = (size_t)80 << 30;
  return 0;
}
static Result mem_alloc(Pointer* pointer, size_t bytes) {
  NEEDS_CONTEXT;
  note("cuMemAlloc %zu", bytes);
  // Nothing is ever computed: what is read back shall not be what was freed before.
  const size_t rounded = (bytes + 255) / 256 * 256;
  void* memory = aligned_alloc(256, rounded);
  if (memory != NULL) memset(memory, 0, rounded);
  *pointer = (Pointer)(uintptr_t)memory;
  return 0;
}
static Result mem_free(Pointer pointer) {
  NEEDS_CONTEXT;
  note("cuMemFree");
  free((void*)(uintptr_t)pointer);
  return 0;
}
static Result host_alloc(void** pointer, size_t bytes, unsigned flags) {
  NEEDS_CONTEXT;
  note("cuMemHostAlloc %zu %u", bytes, flags);
  *pointer = calloc(1, bytes);
  return 0;
}
static Result free_host(void* pointer) {
  NEEDS_CONTEXT;
  note("cuMemFreeHost");
  free(pointer);
  return 0;
}
static Result to_device(Pointer to, const void* from, size_t bytes, void* stream) {
  NEEDS_CONTEXT;
  note("cuMemcpyHtoDAsync %zu %p", bytes, stream);
  memcpy((void*)(uintptr_t)to, from, bytes);
  return 0;
}
static Result to_host(void* to, Pointer from, size_t bytes, void* stream) {
  NEEDS_CONTEXT;
  note("cuMemcpyDtoHAsync %zu %p", bytes, stream);
  memcpy(to, (void*)(uintptr_t)from, bytes);
  return 0;
}
static Result on_device(Pointer to, Pointer from, size_t bytes, void* stream) {
  NEEDS_CONTEXT;
  note("cuMemcpyDtoDAsync %zu %p", bytes, stream);
  memmove((void*)(uintptr_t)to, (void*)(uintptr_t)from, bytes);
  return 0;
}
static Result fill(Pointer pointer, unsigned char value, size_t bytes, void* stream) {
  NEEDS_CONTEXT;
  note("cuMemsetD8Async %u %zu %p", value, bytes, stream);
  memset((void*)(uintptr_t)pointer, value, bytes);
  return 0;
}
static Result stream_create(void** stream, unsigned flags) {
  NEEDS_CONTEXT;
  note("cuStreamCreate %u", flags);
  handle(stream);
  return 0;
}
static Result stream_destroy(void* stream) {
  NEEDS_CONTEXT;
  note("cuStreamDestroy %p", stream);
  return 0;
}
static Result stream_wait(void* stream, void* event, unsigned flags) {
  NEEDS_CONTEXT;
  note("cuStreamWaitEvent %p %p %u", stream, event, flags);
  return 0;
}
static Result event_create(void** event, unsigned flags) {
  NEEDS_CONTEXT;
  note("cuEventCreate %u", flags);
  handle(event);
  return 0;
}
static Result event_destroy(void* event) {
  NEEDS_CONTEXT;
  (void)event;
  note("cuEventDestroy");
  return 0;
}
static Result event_record(void* event, void* stream) {
  NEEDS_CONTEXT;
  (void)event;
  note("cuEventRecord %p", stream);
  return 0;
}
static Result event_query(void* event) {
  NEEDS_CONTEXT;
  static int count = 0;
  (void)event;
  /* Every other time the work is still under way. */
  return ++count % 2 ? 600 : 0;
}
static Result elapsed(float* milliseconds, void* from, void* to) {
  NEEDS_CONTEXT;
  (void)from;
  (void)to;
  *milliseconds = 0.5f;
  return 0;
}
static Result module_load(void** module, const void* image) {
  NEEDS_CONTEXT;
  note("cuModuleLoadData %02x%02x", ((const unsigned char*)image)[0], ((const unsigned char*)image)[1]);
  handle(module);
  return setting("WEFT_FAKE_IMAGE", 0);
}
static Result module_unload(void* module) {
  NEEDS_CONTEXT;
  (void)module;
  note("cuModuleUnload");
  return 0;
}
static Result get_function(void** function, void* module, const char* name) {
  NEEDS_CONTEXT;
  (void)module;
  note("cuModuleGetFunction %s", name);
  handle(function);
  return 0;
}
static Result func_set(void* function, int attribute, int value) {
  NEEDS_CONTEXT;
  (void)function;
  note("cuFuncSetAttribute %d %d", attribute, value);
  return 0;
}
struct Attribute {
  int id;
  char pad[4];
  char value[64];
};
struct Config {
  unsigned grid_x, grid_y, grid_z, block_x, block_y, block_z, shared;
  void* stream;
  struct Attribute* attributes;
  unsigned count;
};
static Result launch(const struct Config* config, void* function, void** params, void** extra) {
  NEEDS_CONTEXT;
  (void)function;
  size_t bytes = 0;
  const Pointer* words = NULL;
  for (; extra && *extra; extra += 2) {
    if (extra[0] == (void*)1) words = (const Pointer*)extra[1];
    if (extra[0] == (void*)2) bytes = *(const size_t*)extra[1];
  }
  note("cuLaunchKernelEx grid %u %u %u block %u %u %u shared %u stream %p attributes %u params %d bytes %zu blocks %llu",
       config->grid_x, config->grid_y, config->grid_z, config->block_x, config->block_y, config->block_z, config->shared,
       config->stream, config->count, params != NULL, bytes, words ? words[10] : 0);
  return 0;
}
static Result begin_capture(void* stream, int mode) {
  NEEDS_CONTEXT;
  note("cuStreamBeginCapture %p %d", stream, mode);
  return 0;
}
static Result end_capture(void* stream, void** graph) {
  NEEDS_CONTEXT;
  note("cuStreamEndCapture %p", stream);
  handle(graph);
  return 0;
}
static Result instantiate(void** executable, void* graph, unsigned long long flags) {
  NEEDS_CONTEXT;
  (void)graph;
  note("cuGraphInstantiateWithFlags %llu", flags);
  handle(executable);
  return 0;
}
static Result graph_launch(void* executable, void* stream) {
  NEEDS_CONTEXT;
  (void)executable;
  note("cuGraphLaunch %p", stream);
  return 0;
}
static Result exec_destroy(void* executable) {
  NEEDS_CONTEXT;
  (void)executable;
  note("cuGraphExecDestroy");
  return 0;
}
static Result graph_destroy(void* graph) {
  NEEDS_CONTEXT;
  (void)graph;
  note("cuGraphDestroy");
  return 0;
}

static const struct {
  const char* name;
  void* function;
} entries[] = {
    {"cuInit", (void*)init},
    {"cuDriverGetVersion", (void*)cuDriverGetVersion},
    {"cuGetErrorName", (void*)error_name},
    {"cuGetErrorString", (void*)error_string},
    {"cuDeviceGetCount", (void*)device_count},
    {"cuDeviceGet", (void*)device_get},
    {"cuDeviceGetName", (void*)device_name},
    {"cuDeviceGetAttribute", (void*)device_attribute},
    {"cuDevicePrimaryCtxRetain", (void*)retain},
    {"cuDevicePrimaryCtxRelease", (void*)release},
    {"cuCtxPushCurrent", (void*)push},
    {"cuCtxPopCurrent", (void*)pop},
    {"cuMemGetInfo", (void*)mem_info},
    {"cuMemAlloc", (void*)mem_alloc},
    {"cuMemFree", (void*)mem_free},
    {"cuMemHostAlloc", (void*)host_alloc},
    {"cuMemFreeHost", (void*)free_host},
    {"cuMemcpyHtoDAsync", (void*)to_device},
    {"cuMemcpyDtoHAsync", (void*)to_host},
    {"cuMemcpyDtoDAsync", (void*)on_device},
    {"cuMemsetD8Async", (void*)fill},
    {"cuStreamCreate", (void*)stream_create},
    {"cuStreamDestroy", (void*)stream_destroy},
    {"cuStreamWaitEvent", (void*)stream_wait},
    {"cuEventCreate", (void*)event_create},
    {"cuEventDestroy", (void*)event_destroy},
    {"cuEventRecord", (void*)event_record},
    {"cuEventQuery", (void*)event_query},
    {"cuEventElapsedTime", (void*)elapsed},
    {"cuModuleLoadData", (void*)module_load},
    {"cuModuleUnload", (void*)module_unload},
    {"cuModuleGetFunction", (void*)get_function},
    {"cuFuncSetAttribute", (void*)func_set},
    {"cuLaunchKernelEx", (void*)launch},
    {"cuStreamBeginCapture", (void*)begin_capture},
    {"cuStreamEndCapture", (void*)end_capture},
    {"cuGraphInstantiateWithFlags", (void*)instantiate},
    {"cuGraphLaunch", (void*)graph_launch},
    {"cuGraphExecDestroy", (void*)exec_destroy},
    {"cuGraphDestroy", (void*)graph_destroy},
};

Result cuGetProcAddress_v2(const char* name, void** function, int version, uint64_t flags, int* found) {
  note("cuGetProcAddress %s %d %llu", name, version, (unsigned long long)flags);
  const char* missing = getenv("WEFT_FAKE_MISSING");
  *function = NULL;
  *found = 1;
  if (missing && strcmp(missing, name) == 0) return 0;
  for (size_t i = 0; i < sizeof entries / sizeof entries[0]; ++i) {
    if (strcmp(entries[i].name, name) != 0) continue;
    *function = entries[i].function;
    *found = 0;
    return 0;
  }
  return 1;
}
