#include "module.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "elf_image.h"
#include "status.h"

namespace weft::cuda::sim {

namespace {

bool write_all(int file, const void* image, size_t bytes) {
  const char* at = static_cast<const char*>(image);
  while (bytes > 0) {
    const ssize_t written = write(file, at, bytes);
    if (written <= 0) return false;
    at += written;
    bytes -= static_cast<size_t>(written);
  }
  return true;
}

// A file that exists only until it is opened: the loader wants a name.
void* open_image(const void* image, size_t bytes, std::string& reason) {
  const char* folder = std::getenv("TMPDIR");
  std::string path = std::string(folder != nullptr && *folder != '\0' ? folder : "/tmp") + "/weft-sim-XXXXXX";
  const int file = mkstemp(path.data());
  if (file < 0) {
    reason = "no temporary file could be made: " + path;
    return nullptr;
  }
  const bool written = write_all(file, image, bytes);
  close(file);
  void* handle = written ? dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) : nullptr;
  if (handle == nullptr) {
    const char* error = written ? dlerror() : nullptr;
    reason = error != nullptr ? error : "the image could not be written to " + path;
  }
  unlink(path.c_str());
  return handle;
}

}  // namespace

Status SharedObject::load(std::unique_ptr<SharedObject>& object, const void* image, size_t bytes,
                          weft_sim::Table& table, std::string& reason) {
  if (!is_whole_image(image, bytes, reason)) return invalid_image;
  void* handle = open_image(image, bytes, reason);
  if (handle == nullptr) return invalid_image;
  object.reset(new SharedObject(handle));
  using Attach = unsigned (*)(weft_sim::Table*);
  const Attach attach = reinterpret_cast<Attach>(dlsym(handle, "weft_sim_attach"));
  if (attach == nullptr || attach(&table) != weft_sim::version) {
    reason = attach == nullptr ? "it is no module of the simulator" : "it was compiled for another version of the simulator";
    object.reset();
    return invalid_image;
  }
  return success;
}

SharedObject::~SharedObject() { dlclose(handle_); }

const weft_sim::Kernel* SharedObject::kernel(const char* name) const {
  const std::string symbol = std::string("weft_sim_kernel_") + name;
  return static_cast<const weft_sim::Kernel*>(dlsym(handle_, symbol.c_str()));
}

}  // namespace weft::cuda::sim
