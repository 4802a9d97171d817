// A shared object that the host's compiler made of kernel text.
#pragma once

#include <memory>
#include <string>

#include "../driver.h"
#include "../../../sim/table.h"

namespace weft::cuda::sim {

class SharedObject {
 public:
  // Loads the bytes of an image. Gives `invalid_image` for what is none, with the reason.
  static Status load(std::unique_ptr<SharedObject>& object, const void* image, size_t bytes, weft_sim::Table& table,
                     std::string& reason);
  SharedObject(const SharedObject&) = delete;
  SharedObject& operator=(const SharedObject&) = delete;
  ~SharedObject();

  // Null if there is none of this name.
  const weft_sim::Kernel* kernel(const char* name) const;

 private:
  explicit SharedObject(void* handle) : handle_(handle) {}
  void* handle_;
};

}  // namespace weft::cuda::sim
