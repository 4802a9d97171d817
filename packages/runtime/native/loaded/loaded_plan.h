// A plan loaded on a device, as what the addons share sees it. Everything a run needs exists before it.
//
// A run has two phases: `put` puts its work under way, `finish` waits for its end. Of a program that `runs_ahead` allows
// it, further runs may be put before the first one has ended; each has a slot of its own for its inputs and outputs.
//
// Threads: the memory of a slot is read and written by JavaScript's thread while no run has the slot; `stop` may come
// from any thread at any time; everything else belongs to the dispatcher's thread.
#pragma once

#include <atomic>
#include <functional>
#include <vector>

#include "error.h"
#include "loaded/memory_table.h"
#include "loaded/prepared_plan.h"

namespace weft {

struct LoadOptions {
  size_t memory_limit = 0;  // bytes; 0: none
  bool check_finite = true;
};

// What one lane of a device did of one step: a thread of the team, or the stream. Nanoseconds since the run began.
struct StepSpan {
  int64_t begin = 0;
  int64_t end = 0;
  // Of that time, at barriers within the step, for the other lanes.
  int64_t waited = 0;
};

// The times of one run, sized before it.
struct RunTimes {
  RunTimes(size_t steps, size_t lanes) : steps(steps), spans(steps * lanes) {}

  // Lanes write to stretches of their own.
  StepSpan& span(size_t lane, size_t step) { return spans[lane * steps.size() + step]; }

  std::vector<int64_t> steps;  // nanoseconds of each, from barrier to barrier
  std::vector<StepSpan> spans;  // [lane][step]
};

// One run of a program. What it points to lives until the run has ended.
struct Run {
  size_t program = 0;
  size_t slot = 0;
  const int64_t* symbols = nullptr;  // resolved
  const std::vector<bool>* outputs = nullptr;  // which ports the caller will read
  RunTimes* times = nullptr;  // nullptr: none are taken
};

// Whether there is something else to do than to wait. Once true, it stays so.
using Interrupted = std::function<bool()>;

class LoadedPlan {
 public:
  virtual ~LoadedPlan() = default;

  virtual const PreparedPlan& prepared() const = 0;
  const plan::Plan& plan() const { return prepared().plan; }
  // As allocated.
  virtual MemoryTable memory() const = 0;

  // How many threads execute a step side by side; 1 for a stream.
  virtual size_t lanes() const { return 1; }

  // How many runs of the program may be under way, put in the order of the calls. With 1, a run is under way alone.
  virtual size_t runs_ahead(size_t) const { return 1; }

  // Memory of the host, laid out as the port's buffer. Slots are those below `runs_ahead`.
  virtual char* input_data(size_t program, size_t port, size_t slot) const = 0;
  virtual const char* output_data(size_t program, size_t port, size_t slot) const = 0;

  // Throws Error when a run must not begin: nothing has been touched then.
  virtual void check(const Run& run) = 0;
  // Throws Error when it has failed; nothing of it is under way then, but it may have changed the state.
  virtual void put(const Run& run) = 0;
  // Of the oldest run under way. False: `interrupted` was true before the run had ended, and this is to be called again.
  // Throws Error when the run has failed: then nothing is under way any more, those put behind it have come to nothing.
  virtual bool finish(const Run& run, const Interrupted& interrupted) = 0;

  // Ends a run early; the run throws.
  void stop() { stop_.store(true); }
  bool is_stopped() const { return stop_.load(); }
  // What such a run throws.
  [[noreturn]] static void throw_ended() { throw Error("the run was ended: its executable or device was disposed"); }

  // `bytes` bytes of the state's arena from `begin` on.
  virtual void save_state(size_t begin, size_t bytes, char* to) = 0;
  virtual void restore_state(size_t begin, size_t bytes, const char* from) = 0;
  virtual void reset_state() = 0;
  // Moves positions [count, ...) of every state that holds positions to the front and clears the rest. Throws Error when
  // one has fewer than `count` of them; nothing is moved then.
  virtual void shift_state(int64_t count) = 0;

  // Gives back what must not wait for the destructor, which runs on any thread. Nothing else is called afterwards.
  virtual void release() noexcept {}

 protected:
  std::atomic<bool> stop_{false};
};

}  // namespace weft
