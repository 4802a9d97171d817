// A plan that was read and found sound, with what is needed again and again.
#pragma once

#include <string>
#include <vector>

#include "affine_bounds.h"
#include "plan_generated.h"
#include "validate.h"

namespace weft {

struct PreparedPlan {
  // Throws Error when the plan is not sound.
  explicit PreparedPlan(plan::Plan source)
      : plan(std::move(source)), validation(plan::validate(plan)), bounds(plan.symbols) {}
  PreparedPlan(const PreparedPlan&) = delete;
  PreparedPlan& operator=(const PreparedPlan&) = delete;

  const plan::Plan plan;
  const plan::Validation validation;
  const plan::SymbolBounds bounds;
};

}  // namespace weft
