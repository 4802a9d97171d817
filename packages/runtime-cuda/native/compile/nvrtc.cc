#include "compile/nvrtc.h"

#include <algorithm>
#include <optional>

#include "error.h"
#include "libraries/shared_library.h"

namespace weft::cuda {
namespace {

using Program = struct ProgramObject*;

struct NvrtcApi {
  std::string path;
  int (*version)(int*, int*);
  int (*architecture_count)(int*);
  int (*architectures)(int*);
  const char* (*error_string)(int);
  int (*create)(Program*, const char* text, const char* name, int headers, const char* const*, const char* const*);
  int (*compile)(Program, int count, const char* const* options);
  int (*image_size)(Program, size_t*);
  int (*image)(Program, char*);
  int (*log_size)(Program, size_t*);
  int (*log)(Program, char*);
  int (*destroy)(Program*);
};

constexpr int compilation_failed = 6;

NvrtcApi load_api(const SharedLibrary& library) {
  NvrtcApi loaded{};
  loaded.path = library.path;
  const auto take = [&]<class Function>(Function*& function, const char* name) {
    function = reinterpret_cast<Function*>(library.entry(name));
    if (!function) throw Error("[cuda] NVRTC must have " + std::string(name) + "; " + library.path + " has not; update it");
  };
  take(loaded.version, "nvrtcVersion");
  take(loaded.architecture_count, "nvrtcGetNumSupportedArchs");
  take(loaded.architectures, "nvrtcGetSupportedArchs");
  take(loaded.error_string, "nvrtcGetErrorString");
  take(loaded.create, "nvrtcCreateProgram");
  take(loaded.compile, "nvrtcCompileProgram");
  take(loaded.image_size, "nvrtcGetCUBINSize");
  take(loaded.image, "nvrtcGetCUBIN");
  take(loaded.log_size, "nvrtcGetProgramLogSize");
  take(loaded.log, "nvrtcGetProgramLog");
  take(loaded.destroy, "nvrtcDestroyProgram");
  return loaded;
}

void check(const NvrtcApi& api, int status, const char* call, const std::string& name) {
  if (status != 0) throw Error("[cuda] " + std::string(call) + " must succeed; " + api.error_string(status) + "; " + name);
}

NvrtcDescription describe(const NvrtcApi& api) {
  NvrtcDescription description{api.path, 0, 0, {}};
  check(api, api.version(&description.major, &description.minor), "nvrtcVersion", api.path);
  int count = 0;
  check(api, api.architecture_count(&count), "nvrtcGetNumSupportedArchs", api.path);
  description.architectures.resize(static_cast<size_t>(std::max(count, 0)));
  check(api, api.architectures(description.architectures.data()), "nvrtcGetSupportedArchs", api.path);
  return description;
}

}  // namespace

std::vector<NvrtcDescription> list_nvrtcs() {
  std::vector<NvrtcDescription> descriptions;
  std::optional<Error> first;
  for (const SharedLibrary& library : open_libraries(
           toolkit_places("WEFT_NVRTC", {"libnvrtc.so.13", "libnvrtc.so.12"}),
           "NVRTC must be found to compile kernels (its library libnvrtc.so)",
           "install it (pip install nvidia-cuda-nvrtc), name it in WEFT_NVRTC, or use kernels that were compiled before")) {
    // A broken one does not stand in the way of the others.
    try {
      descriptions.push_back(describe(load_api(library)));
    } catch (const Error& error) {
      if (!first) first = error;
    }
  }
  if (descriptions.empty()) throw *first;
  return descriptions;
}

CompiledText compile_with_nvrtc(const std::string& path, const std::string& text, const std::string& name, const std::string& arch,
                                const std::vector<std::string>& options) {
  const SharedLibrary library = open_library({path}, "NVRTC must open to compile kernels", "install it anew, or name another one in WEFT_NVRTC");
  open_companions(library, "libnvrtc-builtins.so.*");
  const NvrtcApi api = load_api(library);
  Program program = nullptr;
  check(api, api.create(&program, text.c_str(), name.c_str(), 0, nullptr, nullptr), "nvrtcCreateProgram", name);
  struct Destroyed {
    const NvrtcApi& api;
    Program program;
    ~Destroyed() { api.destroy(&program); }
  } const destroyed{api, program};
  const std::string architecture = "--gpu-architecture=" + arch;
  std::vector<const char*> list{architecture.c_str()};
  for (const std::string& option : options) list.push_back(option.c_str());
  const int status = api.compile(program, static_cast<int>(list.size()), list.data());
  CompiledText result;
  size_t bytes = 0;
  if (api.log_size(program, &bytes) == 0 && bytes > 1) {
    result.log.resize(bytes);
    if (api.log(program, result.log.data()) != 0) result.log.clear();
    while (!result.log.empty() && result.log.back() == '\0') result.log.pop_back();
  }
  if (status == compilation_failed) return result;
  if (status != 0)
    throw Error("[cuda] nvrtcCompileProgram must succeed; " + std::string(api.error_string(status)) + "; " + name + " for " + arch +
                (result.log.empty() ? "" : "\n" + result.log));
  check(api, api.image_size(program, &bytes), "nvrtcGetCUBINSize", name);
  result.image.resize(bytes);
  check(api, api.image(program, result.image.data()), "nvrtcGetCUBIN", name);
  return result;
}

}  // namespace weft::cuda
