// What JavaScript holds: opaque handles, freed by dispose or by the garbage collector.
#pragma once

#include <napi.h>

#include <memory>

#include "addon/dispatcher.h"
#include "exec/executable.h"
#include "exec/prepared_plan.h"

namespace weft::cpu {

struct PlanHandle {
  static constexpr napi_type_tag type_tag = {0x77656674706c616eu, 0x4f1f6f0c5b0e4a01u};
  std::shared_ptr<const PreparedPlan> plan;
};

struct DeviceHandle {
  static constexpr napi_type_tag type_tag = {0x7765667464657663u, 0x4f1f6f0c5b0e4a02u};
  std::shared_ptr<Dispatcher> dispatcher;
  const KernelTable* kernels = nullptr;
};

struct ExecutableHandle {
  static constexpr napi_type_tag type_tag = {0x7765667465786563u, 0x4f1f6f0c5b0e4a03u};
  std::shared_ptr<Executable> executable;  // nullptr once disposed
  std::shared_ptr<Dispatcher> dispatcher;
  // A job is queued or in execution. Only one at a time: inputs and outputs lie in the executable's own memory.
  std::shared_ptr<bool> is_busy = std::make_shared<bool>(false);

  // The executable, when it is idle. Throws Error.
  const std::shared_ptr<Executable>& idle() const;
};

// { program, symbols, inputs, outputs?, profile } as arguments; resolves to { outputs, times? }.
Napi::Value start_run(const Napi::CallbackInfo& info);

// A job on an executable that is then busy until it is finished.
class ExecutableJob : public Job {
 public:
  ExecutableJob(Napi::Env env, ExecutableHandle& handle)
      : Job(env), executable_(handle.idle()), is_busy_(handle.is_busy) {
    *is_busy_ = true;
  }
  void finished() override { *is_busy_ = false; }
  void stop() override { executable_->stop(); }
  Napi::Value result(Napi::Env env) override { return env.Undefined(); }

 protected:
  std::shared_ptr<Executable> executable_;

 private:
  std::shared_ptr<bool> is_busy_;
};

}  // namespace weft::cpu
