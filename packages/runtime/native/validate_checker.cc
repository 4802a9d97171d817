#include "validate_checker.h"

#include <algorithm>

namespace weft::plan {
namespace {

constexpr size_t most_problems = 20;

}  // namespace

std::string text_of(Wide value) {
  if (value > INT64_MAX || value < INT64_MIN) return value > 0 ? "more than 2^63" : "less than -2^63";
  return std::to_string(static_cast<int64_t>(value));
}

bool Checker::fail(const std::string& place, const std::string& text) {
  problems_.push_back(place + ": " + text);
  if (problems_.size() == most_problems) throw EnoughProblems{};
  return false;
}

Linear Checker::linear(const Affine& affine, const std::string& place) {
  const auto result = bounds.linear(affine);
  if (result) return *result;
  for (const AffineTerm& term : affine.terms)
    if (term.symbol < 0 || static_cast<size_t>(term.symbol) >= plan.symbols.size())
      return fail(place, "names symbol " + std::to_string(term.symbol) + " of " + std::to_string(plan.symbols.size())),
             Linear{};
  fail(place, "can pass 2^53");
  return {};
}

Linear Checker::count(const Affine& affine, const std::string& place, KernelFacts& facts, int64_t largest) {
  const Linear value = linear(affine, place);
  not_negative(value, {}, place, "is negative", facts);
  require(bounds.highest(value) <= largest, place,
          "can reach " + text_of(bounds.highest(value)) + ", more than " + std::to_string(largest));
  return value;
}

bool Checker::not_negative(const Linear& expression, const std::vector<Linear>& guards, const std::string& place,
                           const std::string& text, KernelFacts& facts) {
  if (!bounds.is_moderate(expression)) return fail(place, "can pass 2^53");
  if (bounds.lowest(expression, 0) >= 0) return true;
  if (bounds.lowest(expression, 1) < 0) return fail(place, text);
  facts.conditions.push_back({guards, expression, place + ": " + text});
  return true;
}

bool Checker::range(int64_t slot, const Linear& offset, const std::vector<int64_t>& strides,
                    const std::vector<Linear>& extents, const std::string& place, KernelFacts& facts) {
  Linear first = offset;
  Linear last = offset;
  for (size_t i = 0; i < strides.size(); ++i)
    (strides[i] > 0 ? last : first).add(extents[i] - constant_of(1), strides[i]);
  if (!bounds.is_moderate(last)) return fail(place, "can pass 2^53");
  if (!not_negative(first, extents, place, "lies before the start of its buffer", facts)) return false;
  const Wide needed = bounds.highest(last) + 1;
  int64_t& elements = facts.slot_elements[static_cast<size_t>(slot)];
  elements = std::max(elements, static_cast<int64_t>(needed));
  return true;
}

bool Checker::slot(const std::vector<Slot>& slots, int64_t index, bool writes, const std::string& place,
                   bool may_be_blocks) {
  if (index < 0 || static_cast<size_t>(index) >= slots.size())
    return fail(place, "names slot " + std::to_string(index) + " of " + std::to_string(slots.size()));
  const Slot& slot = slots[static_cast<size_t>(index)];
  if (slot.dtype == PlanDtype::nvfp4) {
    if (!may_be_blocks) return fail(place, "must not be of nvfp4");
    if (slot.row_length < 16 || slot.row_length % 16 != 0 || slot.row_length > largest_extent)
      return fail(place, "must have rows of a multiple of 16 elements");
  }
  const SlotAccess access = slot.access;
  if (writes ? access == SlotAccess::read : access == SlotAccess::write)
    return fail(place, std::string(writes ? "writes" : "reads") + " slot " + std::to_string(index) +
                           ", whose access is \"" + name_of(access) + '"');
  return true;
}

}  // namespace weft::plan
