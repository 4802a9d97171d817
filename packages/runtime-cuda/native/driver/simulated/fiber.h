// One CUDA thread of a simulated block: a stack of its own, and a switch to and from the scheduler's. A fiber that is
// never resumed again is simply dropped; what runs on it owns nothing.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

namespace weft::cuda::sim {

class FiberStacks;

class Fiber {
 public:
  using Entry = void (*)(void* argument);

  // Makes it ready to run `entry(argument)`, whatever it ran before. Gives false when the system has no memory.
  [[nodiscard]] bool start(FiberStacks& stacks, Entry entry, void* argument);
  // From the scheduler: runs the fiber until it suspends itself.
  void resume();
  // From the fiber: back to whoever resumed it.
  void suspend();
  // From the fiber, for the last time.
  [[noreturn]] void leave();

  // Called by the assembly below every fiber.
  [[noreturn]] static void run(Fiber* fiber);

 private:
  void* stack_ = nullptr;
  void* own_pointer_ = nullptr;
  void* scheduler_pointer_ = nullptr;
  Entry entry_ = nullptr;
  void* argument_ = nullptr;
  // What the address sanitizer wants to know of a switch.
  [[maybe_unused]] const void* scheduler_bottom_ = nullptr;
  [[maybe_unused]] size_t scheduler_size_ = 0;
  [[maybe_unused]] void* own_fake_ = nullptr;
};

// Stacks with inaccessible memory below each. A fiber keeps its stack for whatever it runs next.
class FiberStacks {
 public:
  // Only touched pages take memory.
  static constexpr size_t bytes = 256 << 10;

  FiberStacks() = default;
  FiberStacks(const FiberStacks&) = delete;
  FiberStacks& operator=(const FiberStacks&) = delete;
  ~FiberStacks();

  // The lowest address; null when the system has no memory.
  void* take();

 private:
  struct Slab {
    void* base;
    size_t bytes;
  };
  std::vector<Slab> slabs_;
  std::vector<void*> free_;
};

}  // namespace weft::cuda::sim
