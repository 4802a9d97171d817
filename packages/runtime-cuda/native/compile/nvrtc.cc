#include "compile/nvrtc.h"

#include "error.h"
#include "libraries/shared_library.h"

namespace weft::cuda {
namespace {

using Program = struct ProgramObject*;

struct NvrtcApi {
  std::string path;
  int (*version)(int*, int*);
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

const NvrtcApi& nvrtc() {
  static const NvrtcApi api = [] {
    const SharedLibrary library = open_library(
        toolkit_places("WEFT_NVRTC", {"libnvrtc.so.13", "libnvrtc.so.12"}),
        "NVRTC must be found to compile kernels (its library libnvrtc.so)",
        "install it (pip install nvidia-cuda-nvrtc), name it in WEFT_NVRTC, or use kernels that were compiled before");
    open_companions(library, "libnvrtc-builtins.so.*");
    NvrtcApi loaded{};
    loaded.path = library.path;
    const auto take = [&]<class Function>(Function*& function, const char* name) {
      function = reinterpret_cast<Function*>(library.entry(name));
      if (!function) throw Error("[cuda] NVRTC must have " + std::string(name) + "; " + library.path + " has not; update it");
    };
    take(loaded.version, "nvrtcVersion");
    take(loaded.error_string, "nvrtcGetErrorString");
    take(loaded.create, "nvrtcCreateProgram");
    take(loaded.compile, "nvrtcCompileProgram");
    take(loaded.image_size, "nvrtcGetCUBINSize");
    take(loaded.image, "nvrtcGetCUBIN");
    take(loaded.log_size, "nvrtcGetProgramLogSize");
    take(loaded.log, "nvrtcGetProgramLog");
    take(loaded.destroy, "nvrtcDestroyProgram");
    return loaded;
  }();
  return api;
}

void check(const NvrtcApi& api, int status, const char* call, const std::string& name) {
  if (status != 0) throw Error("[cuda] " + std::string(call) + " must succeed; " + api.error_string(status) + "; " + name);
}

}  // namespace

NvrtcDescription describe_nvrtc() {
  const NvrtcApi& api = nvrtc();
  NvrtcDescription description{api.path, 0, 0};
  check(api, api.version(&description.major, &description.minor), "nvrtcVersion", api.path);
  return description;
}

CompiledText compile_with_nvrtc(const std::string& text, const std::string& name, const std::string& arch,
                                const std::vector<std::string>& options) {
  const NvrtcApi& api = nvrtc();
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
