// What is under way on one executable: seen by its handle and by its jobs, which may outlive the handle.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace weft {

class Flight {
 public:
  // ---- JavaScript's thread

  bool is_idle() const { return jobs_ == 0; }
  // Whether a run of the program may begin beside what is under way.
  bool admits(size_t program, size_t runs_ahead) const {
    return is_idle() || (program_ == program && jobs_ < runs_ahead);
  }
  // A run; gives its slot, the lowest that is free. `admits` has said yes.
  size_t enter(size_t program) {
    size_t slot = 0;
    while (slots_ >> slot & 1) ++slot;
    slots_ |= uint64_t{1} << slot;
    program_ = program;
    ++jobs_;
    return slot;
  }
  void leave(size_t slot) {
    slots_ &= ~(uint64_t{1} << slot);
    --jobs_;
  }
  // What nothing may be beside.
  void enter_alone() {
    program_ = none;
    ++jobs_;
  }
  void leave_alone() { --jobs_; }

  // How many failures of runs JavaScript has been told of.
  uint64_t failures_told() const { return failures_told_; }
  void tell_failure() { ++failures_told_; }

  // ---- The dispatcher's thread

  // A run has failed that had begun.
  void fail(const std::string& message) {
    ++failures_;
    failure_ = message;
  }
  // Whether one has failed that JavaScript had not been told of.
  bool has_failed_since(uint64_t failures_told) const { return failures_ > failures_told; }
  // The last one's.
  const std::string& failure() const { return failure_; }

 private:
  static constexpr size_t none = SIZE_MAX;

  size_t jobs_ = 0;
  size_t program_ = none;  // of the runs under way
  uint64_t slots_ = 0;     // taken, a bit each
  uint64_t failures_told_ = 0;

  uint64_t failures_ = 0;
  std::string failure_;
};

}  // namespace weft
