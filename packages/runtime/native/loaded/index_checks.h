// Gathers by values that the caller gives (token ids): checked on the host before anything is executed, so that a bad
// one leaves the state as it was.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "plan_generated.h"

namespace weft {

struct IndexCheck {
  size_t step = 0;
  // Where the indices lie: one for each index of these loops.
  const std::vector<plan::Loop>* loops = nullptr;
  const plan::Access* access = nullptr;
  plan::Affine bound;
  int64_t buffer = 0;
};

struct ProgramGathers {
  std::vector<IndexCheck> checks;
  // Some indices are computed by the program itself: only the device can check them, while it runs.
  bool has_computed = false;
};

// By program of the plan.
std::vector<ProgramGathers> gathers(const plan::Plan& plan);

// `data`: the host's memory of an input buffer. Throws Error.
void check_indices(const plan::Plan& plan, size_t program, const std::vector<IndexCheck>& checks,
                   const int64_t* symbols, const std::function<const char*(int64_t buffer)>& data);

// What a device says of an index that the program computed.
[[noreturn]] void throw_gather_fault(const plan::Plan& plan, size_t program, size_t step, float index, int64_t bound);

// "kernel x, step 3 of decode, from model.layers.0": what messages call a step.
std::string step_name(const plan::Plan& plan, size_t program, size_t step);

// An index as its message shows it: whole numbers without decimals.
std::string shown_index(float value);

}  // namespace weft
