// Lifetime rules.
//  * The thread-safe function keeps the event loop alive only while a promise is open.
//  * Jobs are destroyed on JavaScript's thread only: they may hold the last reference to an executable.
//  * When the environment (the process, or a worker thread) ends, cleanup hooks run last in, first out. Ours is added
//    after the thread-safe function has added its own, so the dispatcher's thread is gone before the function is.
#include "node/dispatcher.h"

#include <new>

#include "error.h"

namespace weft {
namespace {

// What the body throws, the job rejects with.
template <class Body>
void attempt(Job& job, Body&& body) noexcept {
  try {
    body();
  } catch (const std::bad_alloc&) {
    job.fail("[memory] the system is out of memory");
  } catch (const std::exception& error) {
    job.fail(error.what());
  }
}

}  // namespace

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
  under_way_.reserve(8);
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
    ++arrivals_;
  }
  wake_.notify_one();
  return promise;
}

void Dispatcher::post(std::function<void()> task) noexcept {
  if (closed_) return task();
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back({nullptr, std::move(task)});
    ++arrivals_;
  }
  wake_.notify_one();
}

void Dispatcher::close() noexcept {
  if (closed_) return;
  closed_ = true;
  {
    const std::lock_guard lock(mutex_);
    leave_ = true;
    for (const std::unique_ptr<Job>& job : under_way_) job->stop();
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
    std::function<void()> task;
    bool begins = false, awaits_more = false;
    uint64_t arrivals = 0;
    {
      std::unique_lock lock(mutex_);
      if (under_way_.empty()) wake_.wait(lock, [&] { return leave_ || !queue_.empty(); });
      if (leave_ && under_way_.empty()) return;
      // What is at the front of the queue and cannot begin yet keeps what arrives behind it from beginning.
      awaits_more = !leave_ && queue_.empty();
      arrivals = arrivals_.load();
      if (!leave_ && !queue_.empty() && may_begin_next()) {
        begins = true;
        task = std::move(queue_.front().task);
        if (!task) under_way_.push_back(std::move(queue_.front().job));
        queue_.pop_front();
      }
    }
    if (task) {
      task();
    } else if (begins) {
      Job& job = *under_way_.back();
      attempt(job, [&] { job.execute(); });
    } else {
      const auto has_arrived = [&] { return awaits_more && arrivals_.load() != arrivals; };
      // By reference: a function of its own would be allocated.
      finish_oldest(std::ref(has_arrived));
    }
  }
}

// Under mutex_.
bool Dispatcher::may_begin_next() const {
  if (under_way_.empty()) return true;
  const Job* job = queue_.front().job.get();
  return job && job->may_follow(*under_way_.back());
}

void Dispatcher::finish_oldest(const std::function<bool()>& interrupted) noexcept {
  Job& job = *under_way_.front();
  bool is_finished = true;
  // A job that failed has nothing under way.
  if (job.error_.empty()) attempt(job, [&] { is_finished = job.finish(interrupted); });
  if (!is_finished) return;
  if (!job.error_.empty())
    for (const std::unique_ptr<Job>& later : under_way_)
      if (later.get() != &job) later->earlier_failed(job);
  std::unique_ptr<Job> finished;
  {
    const std::lock_guard lock(mutex_);
    finished = std::move(under_way_.front());
    under_way_.erase(under_way_.begin());
  }
  // Takes the job over, and gives it back to nobody only when the environment is gone.
  delivery_.BlockingCall(finished.release());
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
