// What JavaScript holds of a device.
#pragma once

#include <memory>

#include "exec/executable.h"
#include "node/handles.h"

namespace weft::cpu {

struct DeviceHandle {
  static constexpr napi_type_tag type_tag = {0x7765667464657663u, 0x4f1f6f0c5b0e4a02u};
  std::shared_ptr<Dispatcher> dispatcher;
  std::shared_ptr<ThreadPool> pool;  // the dispatcher's thread is member 0
  const KernelTable* kernels = nullptr;
};

}  // namespace weft::cpu
