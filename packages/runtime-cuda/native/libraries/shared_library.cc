#include "libraries/shared_library.h"

#include <dlfcn.h>
#include <glob.h>

#include <algorithm>
#include <cstdlib>

#include "error.h"

namespace weft::cuda {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

// Paths that match, in the system's order.
std::vector<std::string> matches(const std::string& pattern) {
  std::vector<std::string> found;
  glob_t result{};
  if (glob(pattern.c_str(), 0, nullptr, &result) == 0)
    for (size_t i = 0; i < result.gl_pathc; ++i) found.emplace_back(result.gl_pathv[i]);
  globfree(&result);
  return found;
}

// Folders of Python packages: the active environment's, the user's, the system's.
std::vector<std::string> package_folders() {
  std::vector<std::string> patterns;
  for (const char* environment : {"VIRTUAL_ENV", "CONDA_PREFIX"})
    if (const std::string root = variable(environment); !root.empty()) patterns.push_back(root + "/lib/python3*/site-packages");
  if (const std::string home = variable("HOME"); !home.empty()) patterns.push_back(home + "/.local/lib/python3*/site-packages");
  for (const char* system : {"/usr/local/lib/python3*/site-packages", "/usr/local/lib/python3*/dist-packages",
                             "/usr/lib/python3*/site-packages", "/usr/lib/python3*/dist-packages",
                             "/opt/conda/lib/python3*/site-packages"})
    patterns.push_back(system);
  return patterns;
}

struct Opened {
  std::vector<SharedLibrary> libraries;
  std::string refused;  // a line for each place
};

// Whether the place has a library. One that was opened before under another name is not taken twice.
bool open(const std::string& place, Opened& opened) {
  if (void* handle = dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL)) {
    const auto is_same = [&](const SharedLibrary& library) { return library.handle == handle; };
    if (std::none_of(opened.libraries.begin(), opened.libraries.end(), is_same)) opened.libraries.push_back({handle, place});
    return true;
  }
  const char* error = dlerror();
  std::string reason = error ? error : "unknown reason";
  // The system begins with the file's name, most often the one it was asked for.
  if (reason.starts_with(place + ": ")) reason.erase(0, place.size() + 2);
  opened.refused += "\n  " + place + " (" + reason + ")";
  return false;
}

[[noreturn]] void refuse(const Opened& opened, const std::string& requirement, const std::string& remedy) {
  throw Error("[cuda] " + requirement + "; none of these places has one; " + remedy + "; tried:" + opened.refused);
}

}  // namespace

void* SharedLibrary::entry(const char* name) const { return dlsym(handle, name); }

SharedLibrary open_library(const std::vector<std::string>& places, const std::string& requirement, const std::string& remedy) {
  Opened opened;
  for (const std::string& place : places)
    if (open(place, opened)) return opened.libraries.front();
  refuse(opened, requirement, remedy);
}

std::vector<SharedLibrary> open_libraries(const std::vector<std::string>& places, const std::string& requirement, const std::string& remedy) {
  Opened opened;
  for (const std::string& place : places) open(place, opened);
  if (opened.libraries.empty()) refuse(opened, requirement, remedy);
  return opened.libraries;
}

void open_companions(const SharedLibrary& library, const std::string& pattern) {
  const size_t slash = library.path.rfind('/');
  if (slash == std::string::npos) return;
  // One that does not open is missed, with a message of its own, by whoever needs it.
  for (const std::string& path : matches(library.path.substr(0, slash + 1) + pattern)) dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
}

std::vector<std::string> driver_places() {
  if (const std::string named = variable("WEFT_LIBCUDA"); !named.empty()) return {named};
  return {"libcuda.so.1", "/usr/lib/x86_64-linux-gnu/libcuda.so.1", "/usr/lib/aarch64-linux-gnu/libcuda.so.1",
          "/usr/lib64/libcuda.so.1", "/usr/local/nvidia/lib64/libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1"};
}

std::vector<std::string> toolkit_places(const char* override, const std::vector<std::string>& sonames) {
  if (const std::string named = variable(override); !named.empty()) return {named};
  std::vector<std::string> places;
  for (const std::string& packages : package_folders())
    for (const char* folder : {"/nvidia/cu13/lib/", "/nvidia/*/lib/"})
      for (const std::string& soname : sonames)
        for (const std::string& path : matches(packages + folder + soname)) places.push_back(path);
  for (const std::string& soname : sonames) places.push_back(soname);
  std::vector<std::string> roots;
  for (const char* name : {"CUDA_HOME", "CUDA_PATH"})
    if (const std::string root = variable(name); !root.empty()) roots.push_back(root);
  roots.push_back("/usr/local/cuda");
  for (const std::string& root : roots)
    for (const std::string& soname : sonames) places.push_back(root + "/lib64/" + soname);
  return places;
}

}  // namespace weft::cuda
