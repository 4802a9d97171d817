// What JavaScript holds: opaque handles, freed by dispose or by the garbage collector.
#pragma once

#include <napi.h>

#include <memory>

#include "loaded/loaded_plan.h"
#include "node/dispatcher.h"
#include "node/flight.h"

namespace weft {

struct PlanHandle {
  static constexpr napi_type_tag type_tag = {0x77656674706c616eu, 0x4f1f6f0c5b0e4a01u};
  std::shared_ptr<const PreparedPlan> plan;
};

struct ExecutableHandle {
  static constexpr napi_type_tag type_tag = {0x7765667465786563u, 0x4f1f6f0c5b0e4a03u};
  ExecutableHandle(std::shared_ptr<LoadedPlan> loaded, std::shared_ptr<Dispatcher> device)
      : executable(std::move(loaded)), dispatcher(std::move(device)) {}
  ExecutableHandle(const ExecutableHandle&) = delete;
  ExecutableHandle& operator=(const ExecutableHandle&) = delete;
  ~ExecutableHandle() { dispose(); }

  std::shared_ptr<LoadedPlan> executable;  // nullptr once disposed
  std::shared_ptr<Dispatcher> dispatcher;
  // Jobs that are queued or in execution. Inputs and outputs lie in the executable's own memory: only runs with slots of
  // their own may be there together.
  std::shared_ptr<Flight> flight = std::make_shared<Flight>();

  // The executable. Throws Error when it was disposed.
  const std::shared_ptr<LoadedPlan>& open() const;
  // The executable, when it is idle. Throws Error.
  const std::shared_ptr<LoadedPlan>& idle() const;
  // A run in execution ends early and rejects; memory goes when it has ended.
  void dispose() noexcept;
};

// A job that is alone on its executable.
class ExecutableJob : public Job {
 public:
  ExecutableJob(Napi::Env env, ExecutableHandle& handle)
      : Job(env), executable_(handle.idle()), flight_(handle.flight) {
    flight_->enter_alone();
  }
  void finished() override { flight_->leave_alone(); }
  void stop() override { executable_->stop(); }
  Napi::Value result(Napi::Env env) override { return env.Undefined(); }

 protected:
  std::shared_ptr<LoadedPlan> executable_;

 private:
  std::shared_ptr<Flight> flight_;
};

// Loading on the dispatcher's thread; resolves to a handle.
class LoadJob : public Job {
 public:
  LoadJob(Napi::Env env, std::shared_ptr<LoadedPlan> executable, std::shared_ptr<Dispatcher> dispatcher)
      : Job(env), executable_(std::move(executable)), target_(std::move(dispatcher)) {}
  void stop() override { executable_->stop(); }
  Napi::Value result(Napi::Env env) override;

 private:
  std::shared_ptr<LoadedPlan> executable_;
  std::shared_ptr<Dispatcher> target_;
};

}  // namespace weft
