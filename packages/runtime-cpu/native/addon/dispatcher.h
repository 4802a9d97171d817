// The thread that executes everything of one device, in order, so that JavaScript's thread never waits. It is member 0
// of the team.
#pragma once

#include <napi.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "thread_pool.h"

namespace weft::cpu {

class Dispatcher;

// Work for the dispatcher's thread, and what to tell JavaScript about it.
class Job {
 public:
  explicit Job(Napi::Env env) : promise_(Napi::Promise::Deferred::New(env)) {}
  virtual ~Job() = default;
  // On the dispatcher's thread. Throws to reject.
  virtual void execute(ThreadPool& pool) = 0;
  // On JavaScript's thread, after success: the promise's value. Throws to reject.
  virtual Napi::Value result(Napi::Env env) = 0;
  // On JavaScript's thread, before the promise is settled either way.
  virtual void finished() {}
  // Asks a job in execution to end early; called from JavaScript's thread.
  virtual void stop() {}

  Napi::Promise promise() const { return promise_.Promise(); }
  void settle(Napi::Env env) noexcept;
  void fail(const std::string& message) { error_ = message.empty() ? "unknown failure" : message; }

 private:
  friend class Dispatcher;
  Napi::Promise::Deferred promise_;
  std::string error_;
  std::shared_ptr<Dispatcher> dispatcher_;  // lives at least until the promise is settled
};

class Dispatcher : public std::enable_shared_from_this<Dispatcher> {
 public:
  // Throws Error when the threads cannot be had.
  Dispatcher(Napi::Env env, int threads);
  ~Dispatcher();
  Dispatcher(const Dispatcher&) = delete;
  Dispatcher& operator=(const Dispatcher&) = delete;

  int threads() const { return pool_.size(); }
  bool is_closed() const { return closed_; }

  // Queues a job; its promise settles when it is done. JavaScript's thread only.
  Napi::Promise add(std::unique_ptr<Job> job);
  // Ends the job in execution early, rejects those that wait, joins the thread. JavaScript's thread only.
  void close() noexcept;

 private:
  static void deliver(Napi::Env env, Napi::Function, Dispatcher* self, Job* job) noexcept;
  using Delivery = Napi::TypedThreadSafeFunction<Dispatcher, Job, deliver>;

  void work() noexcept;
  void finish_one() noexcept;
  static void at_exit(void* self);

  napi_env env_;
  ThreadPool pool_;
  Delivery delivery_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::unique_ptr<Job>> queue_;
  Job* current_ = nullptr;  // under mutex_
  bool leave_ = false;      // under mutex_
  std::thread thread_;
  size_t pending_ = 0;  // JavaScript's thread: jobs whose promises are open
  bool closed_ = false;
  bool is_released_ = false;
};

}  // namespace weft::cpu
