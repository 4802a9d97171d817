#include "libraries/cublaslt_api.h"

#include <map>
#include <mutex>

#include "error.h"

namespace weft::cuda {
namespace {

// Older ones lack entries.
constexpr int least_major = 12;

CublasLtApi load_api(const SharedLibrary& library) {
  CublasLtApi api{};
  api.path = library.path;
  const auto take = [&]<class Function>(Function*& function, const char* name) {
    function = reinterpret_cast<Function*>(library.entry(name));
    if (!function) throw Error("[cuda] cuBLASLt must have " + std::string(name) + "; " + library.path + " has not; update it");
  };
  take(api.get_version, "cublasLtGetVersion");
  take(api.get_cudart_version, "cublasLtGetCudartVersion");
  take(api.get_status_name, "cublasLtGetStatusName");
  take(api.get_status_string, "cublasLtGetStatusString");
  take(api.create, "cublasLtCreate");
  take(api.destroy, "cublasLtDestroy");
  take(api.matmul_desc_create, "cublasLtMatmulDescCreate");
  take(api.matmul_desc_destroy, "cublasLtMatmulDescDestroy");
  take(api.matmul_desc_set_attribute, "cublasLtMatmulDescSetAttribute");
  take(api.matrix_layout_create, "cublasLtMatrixLayoutCreate");
  take(api.matrix_layout_destroy, "cublasLtMatrixLayoutDestroy");
  take(api.preference_create, "cublasLtMatmulPreferenceCreate");
  take(api.preference_destroy, "cublasLtMatmulPreferenceDestroy");
  take(api.preference_set_attribute, "cublasLtMatmulPreferenceSetAttribute");
  take(api.algo_get_heuristic, "cublasLtMatmulAlgoGetHeuristic");
  take(api.matmul, "cublasLtMatmul");
  api.version = api.get_version();
  api.cuda_version = api.get_cudart_version();
  return api;
}

void require_major(const CublasLtApi& api, int major) {
  const int built_with = static_cast<int>(api.cuda_version / 1000);
  if (built_with >= least_major && built_with <= major) return;
  throw Error("[cuda] cuBLASLt must be of CUDA " + std::to_string(least_major) + " to " + std::to_string(major) +
              ", as the driver is; " + api.path + " is of CUDA " + std::to_string(built_with) + "; name another in WEFT_CUBLASLT");
}

CublasLtApi open_for_major(int major) {
  std::vector<std::string> sonames;
  for (int candidate = major; candidate >= least_major; --candidate)
    sonames.push_back("libcublasLt.so." + std::to_string(candidate));
  const std::vector<SharedLibrary> found = open_libraries(
      toolkit_places("WEFT_CUBLASLT", sonames), "cuBLASLt must be found (its library libcublasLt.so)",
      "install it (pip install nvidia-cublas) or name it in WEFT_CUBLASLT; without it, large products are left to kernels of our own");
  // Of those that do not serve, the first one is told of: it comes from the place that is looked at first.
  std::string refusal;
  for (const SharedLibrary& library : found) {
    try {
      const CublasLtApi api = load_api(library);
      require_major(api, major);
      return api;
    } catch (const Error& error) {
      if (refusal.empty()) refusal = error.what();
    }
  }
  throw Error(refusal);
}

}  // namespace

std::string CublasLtApi::version_text() const {
  return std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." + std::to_string(version % 100);
}

const CublasLtApi& cublaslt_for(int driver_version) {
  // A failure is tried again the next time: a user may have put right what was missing.
  static std::mutex mutex;
  static std::map<int, CublasLtApi> opened;
  const int major = driver_version / 1000;
  const std::lock_guard lock(mutex);
  const auto found = opened.find(major);
  return found != opened.end() ? found->second : opened.emplace(major, open_for_major(major)).first->second;
}

}  // namespace weft::cuda
