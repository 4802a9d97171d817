// What JavaScript holds of a device and of a CUDA plan.
#pragma once

#include <memory>

#include "driver/recording/recording_driver.h"
#include "exec/executable.h"
#include "node/handles.h"

namespace weft::cuda {

struct DeviceHandle {
  static constexpr napi_type_tag type_tag = {0x7765667463756461u, 0x4f1f6f0c5b0e4b02u};
  std::shared_ptr<Dispatcher> dispatcher;
  std::shared_ptr<Gpu> gpu;
  std::shared_ptr<Recording> recording;  // of a recording driver
};

struct CompiledHandle {
  static constexpr napi_type_tag type_tag = {0x7765667463756461u, 0x4f1f6f0c5b0e4b04u};
  std::shared_ptr<const CompiledPlan> compiled;
};

}  // namespace weft::cuda
