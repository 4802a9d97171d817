// Everything about a plan that could make an executor crash, checked before it executes.
//
// Procedure: the reader has checked presence and types. `validate` then checks, for all values of the symbols,
// that indices point at something, buffers lie in their arenas, programs of instructions are well formed, and every
// access of every step lies in the buffer bound to it. What holds for all values but some very small ones (the last
// of zero positions) becomes a condition that `check_symbols_of_run` evaluates before each run.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "affine_bounds.h"
#include "plan_generated.h"

namespace weft::plan {

// Must hold at run time unless one of `guards` is zero (then nothing is executed).
struct Condition {
  std::vector<Linear> guards;
  Linear not_negative;
  std::string message;
};

struct KernelFacts {
  // Elements that each slot's buffer must have at least.
  std::vector<int64_t> slot_elements;
  std::vector<Condition> conditions;
};

struct Validation {
  std::vector<KernelFacts> kernels;
};

// Sizes beyond these are refused, so that products of a few of them stay far from overflow.
inline constexpr int64_t largest_extent = int64_t{1} << 31;
inline constexpr int64_t largest_arena = int64_t{1} << 46;
inline constexpr size_t most_loops = 8;
inline constexpr size_t most_instructions = 1024;
inline constexpr size_t most_slots = 64;

// Elements of nvfp4 share bytes: 1, so that places in its buffers count elements.
int64_t element_bytes(PlanDtype dtype);

// Whether values of the dtype are no floats that could be converted: they go in and out as they are.
bool is_kept_as_is(PlanDtype dtype);

// Elements that fit in a buffer; of nvfp4 those of its shape.
int64_t elements_of(const PlanBuffer& buffer);

// Throws Error with one line per problem (the first twenty).
Validation validate(const Plan& plan);

// The values of all symbols in the plan's order, sums filled in. `given` holds one value per symbol, or -1 where the
// caller gave none. Throws Error when one is missing, out of range, or a sum is inconsistent or too large, or when a
// step of the program could not run with these values.
void resolve_symbols(const Plan& plan, const Validation& validation, const PlanProgram& program,
                     std::vector<int64_t>& values);

// The value of an affine expression; for validated plans and resolved symbols it cannot overflow.
inline int64_t evaluate(const Affine& affine, const int64_t* symbols) {
  int64_t value = affine.constant;
  for (const AffineTerm& term : affine.terms) value += term.factor * symbols[term.symbol];
  return value;
}

// The largest value of an affine expression of a validated plan.
int64_t highest_value(const SymbolBounds& bounds, const Affine& affine);

}  // namespace weft::plan
