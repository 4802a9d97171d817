// The thread that executes everything of one device, in order, so that JavaScript's thread never waits. A job may have
// work under way when it was executed; those behind it that allow it are executed before that has ended, so that a
// device finds its next work when it is done with the last. Jobs are handed back in order, each when it is finished.
#pragma once

#include <napi.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace weft {

class Dispatcher;

// Work for the dispatcher's thread, and what to tell JavaScript about it.
class Job {
 public:
  explicit Job(Napi::Env env) : promise_(Napi::Promise::Deferred::New(env)) {}
  virtual ~Job() = default;
  // On the dispatcher's thread. Throws to reject.
  virtual void execute() = 0;
  // On the dispatcher's thread, after execute(), of the oldest job under way: waits until what it has put under way has
  // ended. False: `interrupted` was true before, and this is to be called again. Throws to reject.
  virtual bool finish(const std::function<bool()>&) { return true; }
  // On the dispatcher's thread, of a job under way: one before it has failed.
  virtual void earlier_failed(const Job&) {}
  // Whether it may be executed before `earlier`, the newest one under way, is finished.
  virtual bool may_follow(const Job&) const { return false; }
  // On JavaScript's thread, after success: the promise's value. Throws to reject.
  virtual Napi::Value result(Napi::Env env) = 0;
  // On JavaScript's thread, before the promise is settled either way.
  virtual void finished() {}
  // Asks a job under way to end early; called from JavaScript's thread.
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
  // Throws Error when the thread cannot be had.
  explicit Dispatcher(Napi::Env env);
  ~Dispatcher();
  Dispatcher(const Dispatcher&) = delete;
  Dispatcher& operator=(const Dispatcher&) = delete;

  bool is_closed() const { return closed_; }

  // Queues a job; its promise settles when it is done. JavaScript's thread only.
  Napi::Promise add(std::unique_ptr<Job> job);
  // Queues work that nobody waits for, which must not throw; on a closed dispatcher it is done at once. JavaScript's
  // thread only.
  void post(std::function<void()> task) noexcept;
  // Ends the jobs under way early, rejects those that wait, joins the thread. JavaScript's thread only.
  void close() noexcept;

 private:
  struct Entry {
    std::unique_ptr<Job> job;
    std::function<void()> task;
  };

  static void deliver(Napi::Env env, Napi::Function, Dispatcher* self, Job* job) noexcept;
  using Delivery = Napi::TypedThreadSafeFunction<Dispatcher, Job, deliver>;

  // On the thread.
  void work() noexcept;
  bool may_begin_next() const;
  // Until the oldest job under way is finished, which is then handed back, or `interrupted`.
  void finish_oldest(const std::function<bool()>& interrupted) noexcept;

  void finish_one() noexcept;
  static void at_exit(void* self);

  napi_env env_;
  Delivery delivery_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Entry> queue_;
  // Begun and not yet handed over, oldest first. Changed by the thread under mutex_, which may read it without.
  std::vector<std::unique_ptr<Job>> under_way_;
  bool leave_ = false;  // under mutex_
  std::atomic<uint64_t> arrivals_{0};  // counts what was queued
  std::thread thread_;
  size_t pending_ = 0;  // JavaScript's thread: jobs whose promises are open
  bool closed_ = false;
  bool is_released_ = false;
};

}  // namespace weft
