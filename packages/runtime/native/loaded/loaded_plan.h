// A plan loaded on a device, as what the addons share sees it. Everything a run needs exists before it.
//
// Threads: the memory of inputs and outputs is read and written by JavaScript's thread while nothing runs; `stop` may
// come from any thread at any time; everything else belongs to the dispatcher's thread.
#pragma once

#include <atomic>
#include <vector>

#include "loaded/memory_table.h"
#include "loaded/prepared_plan.h"

namespace weft {

struct LoadOptions {
  size_t memory_limit = 0;  // bytes; 0: none
  bool check_finite = true;
};

class LoadedPlan {
 public:
  virtual ~LoadedPlan() = default;

  virtual const PreparedPlan& prepared() const = 0;
  const plan::Plan& plan() const { return prepared().plan; }
  // As allocated.
  virtual MemoryTable memory() const = 0;

  // Memory of the host, laid out as the port's buffer.
  virtual char* input_data(size_t program, size_t port) const = 0;
  virtual const char* output_data(size_t program, size_t port) const = 0;

  // Executes one program with resolved symbols. `outputs`: which ports the caller will read. `times`: nanoseconds per
  // step, or nullptr. Throws Error.
  virtual void run(size_t program, const int64_t* symbols, const std::vector<bool>& outputs, int64_t* times) = 0;

  // Ends a run early; the run throws.
  void stop() { stop_.store(true); }
  bool is_stopped() const { return stop_.load(); }

  size_t state_bytes() const { return static_cast<size_t>(plan().memory.state); }
  // `bytes` bytes of the state's arena from `begin` on.
  virtual void save_state(size_t begin, size_t bytes, char* to) = 0;
  virtual void restore_state(size_t begin, size_t bytes, const char* from) = 0;
  virtual void reset_state() = 0;
  // Moves positions [count, ...) of every state buffer to the front along axis `axis` and clears the rest. Buffers
  // with fewer axes are left alone. Throws Error when a buffer has fewer than `count` positions.
  virtual void shift_state(size_t axis, int64_t count) = 0;

  // Gives back what must not wait for the destructor, which runs on any thread. Nothing else is called afterwards.
  virtual void release() noexcept {}

 protected:
  std::atomic<bool> stop_{false};
};

}  // namespace weft
