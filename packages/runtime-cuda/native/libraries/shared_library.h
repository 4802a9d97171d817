// Libraries of NVIDIA that are opened at run time: this package is built, and installed, where there are none.
#pragma once

#include <string>
#include <vector>

namespace weft::cuda {

// An opened library. It stays open for the life of the process: drivers do not bear being unloaded.
struct SharedLibrary {
  void* handle = nullptr;
  std::string path;

  // nullptr when there is no such entry.
  void* entry(const char* name) const;
};

// Opens the first place that can be opened. Throws Error "<requirement>; tried: ...; <remedy>" with each place and what
// the system said of it.
SharedLibrary open_library(const std::vector<std::string>& places, const std::string& requirement, const std::string& remedy);

// All of the places that can be opened, each library once. Throws the same Error when there is none.
std::vector<SharedLibrary> open_libraries(const std::vector<std::string>& places, const std::string& requirement, const std::string& remedy);

// Opens what lies beside a library and matches a pattern: pip's libraries find each other only when they are open already.
void open_companions(const SharedLibrary& library, const std::string& pattern);

// Where the driver's library may be: what WEFT_LIBCUDA names, and nothing else, or the usual places.
std::vector<std::string> driver_places();

// Where a library of the toolkit may be. `variable`: an environment variable that names the one place to look at;
// `sonames`: newest first. Then pip's packages (of the active environment, then of the system), the system's own search,
// CUDA_HOME.
std::vector<std::string> toolkit_places(const char* variable, const std::vector<std::string>& sonames);

}  // namespace weft::cuda
