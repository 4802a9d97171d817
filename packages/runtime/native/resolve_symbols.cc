// The check before each run: symbols given, within range, sums consistent, conditions of the program's steps kept.
#include <set>

#include "error.h"
#include "validate.h"

namespace weft::plan {
namespace {

Wide value_of(const Linear& linear, const std::vector<int64_t>& values) {
  Wide value = linear.constant;
  for (const Linear::Term& term : linear.terms) value += term.factor * values[static_cast<size_t>(term.symbol)];
  return value;
}

std::string listing(const Plan& plan, const std::vector<int64_t>& values) {
  std::string text;
  for (size_t i = 0; i < values.size(); ++i)
    text += (i ? ", " : "") + plan.symbols[i].name + " = " + std::to_string(values[i]);
  return text;
}

int64_t resolve(const Plan& plan, size_t index, const std::vector<int64_t>& given, std::vector<int64_t>& values) {
  if (values[index] >= 0) return values[index];
  const PlanSymbol& symbol = plan.symbols[index];
  int64_t value = given[index];
  if (!symbol.sum.empty()) {
    int64_t sum = 0;
    // At most 1024 parts of at most 2^31 each.
    for (const int64_t part : symbol.sum) sum += resolve(plan, static_cast<size_t>(part), given, values);
    if (value >= 0 && value != sum)
      throw Error("symbol " + symbol.name + " was given as " + std::to_string(value) + ", but its parts sum to " +
                  std::to_string(sum) + "; leave it out");
    value = sum;
  }
  if (value < 0) throw Error("symbol " + symbol.name + " is missing; give an integer from 0 to " + std::to_string(symbol.max));
  if (value > symbol.max)
    throw Error("symbol " + symbol.name + " is " + std::to_string(value) + ", but memory was planned for at most " +
                std::to_string(symbol.max));
  return values[index] = value;
}

}  // namespace

void resolve_symbols(const Plan& plan, const Validation& validation, const PlanProgram& program,
                     std::vector<int64_t>& values) {
  const std::vector<int64_t> given = values;
  values.assign(given.size(), -1);
  for (size_t i = 0; i < plan.symbols.size(); ++i) resolve(plan, i, given, values);
  std::vector<bool> seen(plan.kernels.size(), false);
  for (const PlanStep& step : program.steps) {
    const size_t kernel = static_cast<size_t>(step.kernel);
    if (seen[kernel]) continue;
    seen[kernel] = true;
    for (const Condition& condition : validation.kernels[kernel].conditions) {
      bool executes = true;
      for (const Linear& guard : condition.guards) executes = executes && value_of(guard, values) > 0;
      if (executes && value_of(condition.not_negative, values) < 0)
        throw Error(condition.message + " with " + listing(plan, values));
    }
  }
}

}  // namespace weft::plan
