// Lifetime rules.
//  * The thread-safe function keeps the event loop alive only while a promise is open.
//  * Jobs are destroyed on JavaScript's thread only: they may hold the last reference to an executable.
//  * When the environment (the process, or a worker thread) ends, cleanup hooks run last in, first out. Ours is added
//    after the thread-safe function has added its own, so the dispatcher's thread is gone before the function is.
#include "node/dispatcher.h"

#include <new>

#include "error.h"

namespace weft {

void Job::settle(Napi::Env env) noexcept {
  try {
    const Napi::HandleScope scope(env);
    try {
      finished();
      if (error_.empty()) return promise_.Resolve(result(env));
    } catch (const Napi::Error& error) {
      return promise_.Reject(error.Value());
    } catch (const std::exception& error) {
      error_ = error.what();
    }
    promise_.Reject(Napi::Error::New(env, error_).Value());
  } catch (...) {
    // The environment is ending; nobody is left to tell.
  }
}

Dispatcher::Dispatcher(Napi::Env env) : env_(env) {
  delivery_ = Delivery::New(env, "weft dispatcher", 0, 1, this);
  delivery_.Unref(env);
  napi_add_env_cleanup_hook(env_, at_exit, this);
  try {
    thread_ = std::thread([this] { work(); });
  } catch (const std::system_error& error) {
    napi_remove_env_cleanup_hook(env_, at_exit, this);
    delivery_.Release();
    throw Error("[threads] the system refused to start the dispatcher's thread (" + std::string(error.what()) + ")");
  }
}

Dispatcher::~Dispatcher() { close(); }

void Dispatcher::at_exit(void* self) {
  Dispatcher* dispatcher = static_cast<Dispatcher*>(self);
  dispatcher->env_ = nullptr;
  dispatcher->close();
}

Napi::Promise Dispatcher::add(std::unique_ptr<Job> job) {
  if (closed_) throw Error("the device was disposed");
  const Napi::Promise promise = job->promise();
  job->dispatcher_ = shared_from_this();
  if (pending_++ == 0) delivery_.Ref(Napi::Env(env_));
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back({std::move(job), {}});
  }
  wake_.notify_one();
  return promise;
}

void Dispatcher::post(std::function<void()> task) noexcept {
  if (closed_) return task();
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back({nullptr, std::move(task)});
  }
  wake_.notify_one();
}

void Dispatcher::close() noexcept {
  if (closed_) return;
  closed_ = true;
  {
    const std::lock_guard lock(mutex_);
    leave_ = true;
    if (current_) current_->stop();
  }
  wake_.notify_one();
  thread_.join();
  // Jobs hold this dispatcher, so it must not go before this function ends.
  const std::shared_ptr<Dispatcher> self = weak_from_this().lock();
  for (Entry& entry : queue_) {
    if (entry.task) {
      entry.task();
      continue;
    }
    entry.job->fail("the device was disposed");
    if (env_) entry.job->settle(Napi::Env(env_));
    finish_one();
  }
  queue_.clear();
  if (env_) napi_remove_env_cleanup_hook(env_, at_exit, this);
  is_released_ = true;
  delivery_.Release();
}

void Dispatcher::work() noexcept {
  for (;;) {
    Entry entry;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return leave_ || !queue_.empty(); });
      if (leave_) return;
      entry = std::move(queue_.front());
      queue_.pop_front();
      current_ = entry.job.get();
    }
    if (entry.task) entry.task();
    else execute(std::move(entry.job));
  }
}

void Dispatcher::execute(std::unique_ptr<Job> job) noexcept {
  try {
    job->execute();
  } catch (const std::bad_alloc&) {
    job->fail("[memory] the system is out of memory");
  } catch (const std::exception& error) {
    job->fail(error.what());
  }
  {
    const std::lock_guard lock(mutex_);
    current_ = nullptr;
  }
  // Takes the job over, and gives it back to nobody only when the environment is gone.
  delivery_.BlockingCall(job.release());
}

void Dispatcher::deliver(Napi::Env env, Napi::Function, Dispatcher* self, Job* job) noexcept {
  const std::unique_ptr<Job> owned(job);
  if (static_cast<napi_env>(env) == nullptr) return;
  owned->settle(env);
  self->finish_one();
}

// With no promise open, the process may end.
void Dispatcher::finish_one() noexcept {
  if (--pending_ == 0 && env_ && !is_released_) delivery_.Unref(Napi::Env(env_));
}

}  // namespace weft
