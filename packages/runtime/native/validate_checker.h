// What the parts of the validation share: the list of problems, and checks of affine expressions and accesses.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "validate.h"

namespace weft::plan {

// Thrown after the last problem that is worth listing.
struct EnoughProblems {};

class Checker {
 public:
  Checker(const Plan& plan, const SymbolBounds& bounds, std::vector<std::string>& problems)
      : plan(plan), bounds(bounds), problems_(problems) {}

  const Plan& plan;
  const SymbolBounds& bounds;

  // Adds a problem; returns false so that a check can end with it.
  bool fail(const std::string& place, const std::string& text);
  bool require(bool holds, const std::string& place, const std::string& text) { return holds || fail(place, text); }

  // The normal form of an expression; a problem and zero if it has none.
  Linear linear(const Affine& affine, const std::string& place);
  // As linear, for a count: never negative, at most `largest`.
  Linear count(const Affine& affine, const std::string& place, KernelFacts& facts, int64_t largest = largest_extent);

  // `expression >= 0` unless a guard is zero: proven for all values, or kept as a condition when it is proven once
  // all symbols are at least 1, else a problem.
  bool not_negative(const Linear& expression, const std::vector<Linear>& guards, const std::string& place,
                    const std::string& text, KernelFacts& facts);

  // Elements `offset + sum(strides[i] * index[i])`, index[i] < extents[i], lie in the slot; notes how many it needs.
  // Nothing is accessed when an extent is zero.
  bool range(int64_t slot, const Linear& offset, const std::vector<int64_t>& strides,
             const std::vector<Linear>& extents, const std::string& place, KernelFacts& facts);

  // `may_be_blocks`: whether it may be of nvfp4, whose elements have no places of their own.
  bool slot(const std::vector<Slot>& slots, int64_t index, bool writes, const std::string& place,
            bool may_be_blocks = false);

 private:
  std::vector<std::string>& problems_;
};

std::string text_of(Wide value);

// What a program of instructions is part of.
struct ProgramRole {
  // Loops that must lead, with these extents; the whole of the loops for a prologue.
  const std::vector<Loop>* leading = nullptr;
  bool is_prologue = false;
  // Weights of the epilogue's group; none elsewhere.
  int64_t accumulators = 0;
};

void check_row_program(Checker& checker, const RowProgram& program, const std::vector<Slot>& slots,
                       const ProgramRole& role, const std::string& place, KernelFacts& facts);

KernelFacts check_kernel(Checker& checker, const Kernel& kernel, const std::string& place);

}  // namespace weft::plan
