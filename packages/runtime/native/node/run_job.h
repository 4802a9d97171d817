// A run on the dispatcher's thread, and the copy of its outputs to JavaScript's arrays.
#pragma once

#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "node/handles.h"

namespace weft {

class RunJob final : public Job {
 public:
  struct Output {
    const plan::PlanPort* port;
    size_t index;  // of the port
    size_t elements;
    Napi::ObjectReference array;  // empty: a new one is made
  };

  // Takes a slot. Throws Error when the run may not begin beside what is under way.
  RunJob(Napi::Env env, ExecutableHandle& handle, size_t program, std::vector<int64_t> symbols,
         std::vector<Output> outputs, bool profile);
  ~RunJob() override { leave(); }

  // Where its inputs go.
  size_t slot() const { return run_.slot; }
  const int64_t* symbols() const { return symbols_.data(); }

  void execute() override;
  bool finish(const std::function<bool()>& interrupted) override;
  void earlier_failed(const Job& earlier) override;
  bool may_follow(const Job& earlier) const override;
  void finished() override;
  void stop() override { executable_->stop(); }
  Napi::Value result(Napi::Env env) override;

 private:
  void leave() noexcept;
  // Those under way behind it fail with it.
  void fail_flight(const std::string& message);
  [[noreturn]] void throw_earlier_failure() const;
  void set_times(Napi::Env env, Napi::Object& result) const;
  void copy(const Napi::TypedArray& array, const plan::PlanBuffer& buffer, const Output& output) const;

  std::shared_ptr<LoadedPlan> executable_;
  std::shared_ptr<Flight> flight_;
  std::vector<int64_t> symbols_;
  std::vector<Output> outputs_;
  std::vector<bool> wanted_;
  std::optional<RunTimes> times_;  // of a profile
  bool is_in_flight_ = false;
  Run run_;
  // When it was called: with failures that JavaScript did not know of, it is not executed.
  uint64_t failures_told_ = 0;
  // Of a run before it; empty: none.
  std::string earlier_failure_;
  // Why it is not under way after execute().
  std::exception_ptr failure_;
  bool has_failed_flight_ = false;
};

// The typed array for a port: of the right kind and exactly the right length. Throws Error.
Napi::TypedArray port_array(const Napi::Value& value, const plan::PlanBuffer& buffer, size_t elements,
                            const std::string& what);
char* data_of(const Napi::TypedArray& array);

}  // namespace weft
