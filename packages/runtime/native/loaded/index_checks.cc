#include "loaded/index_checks.h"

#include <cmath>

#include "error.h"
#include "validate.h"
#include "weights/convert_elements.h"

namespace weft {

std::vector<std::vector<IndexCheck>> index_checks(const plan::Plan& plan) {
  std::vector<std::vector<IndexCheck>> result;
  for (const plan::PlanProgram& program : plan.programs) {
    std::vector<IndexCheck>& checks = result.emplace_back();
    for (size_t step = 0; step < program.steps.size(); ++step) {
      const plan::PlanStep& planned = program.steps[step];
      const auto* rows = std::get_if<plan::RowsKernel>(&plan.kernels[static_cast<size_t>(planned.kernel)]);
      if (!rows) continue;
      for (const plan::Instruction& instruction : rows->program.body) {
        const auto* gather = std::get_if<plan::GatherInstruction>(&instruction);
        const auto* load =
            gather ? std::get_if<plan::LoadInstruction>(&rows->program.body[static_cast<size_t>(gather->index)]) : nullptr;
        if (!load) continue;
        const int64_t source = planned.bindings[static_cast<size_t>(load->access.slot)];
        if (plan.buffers[static_cast<size_t>(source)].class_ == plan::BufferClass::input)
          checks.push_back({step, &rows->program, load, gather->bound, source});
      }
    }
  }
  return result;
}

void check_indices(const plan::Plan& plan, size_t program, const std::vector<IndexCheck>& checks,
                   const int64_t* symbols, const std::function<const char*(int64_t buffer)>& data) {
  for (const IndexCheck& check : checks) {
    const plan::Access& access = check.index->access;
    const plan::PlanBuffer& source = plan.buffers[static_cast<size_t>(check.buffer)];
    const int64_t width = plan::element_bytes(source.dtype);
    const char* memory = data(check.buffer);
    int64_t rows = 1;
    int64_t extents[plan::most_loops] = {};
    const size_t loops = check.program->loops.size();
    for (size_t i = 0; i < loops; ++i) rows *= extents[i] = plan::evaluate(check.program->loops[i].extent, symbols);
    const int64_t offset = plan::evaluate(access.offset, symbols);
    for (int64_t row = 0; row < rows; ++row) {
      int64_t element = offset, rest = row;
      for (size_t i = loops; i-- > 0;) {
        element += access.strides[i] * (rest % extents[i]);
        rest /= extents[i];
      }
      const float value = read_element(memory + element * width, source.dtype);
      if (value >= 0.0f && value < static_cast<float>(check.bound)) continue;
      throw Error("input " + source.name + ": value " + shown_index(value) + " at index " + std::to_string(element) +
                  " must be 0 to " + std::to_string(check.bound - 1) + " (" + step_name(plan, program, check.step) + ")");
    }
  }
}

std::string step_name(const plan::Plan& plan, size_t program, size_t step) {
  const plan::PlanStep& planned = plan.programs[program].steps[step];
  const std::string name = std::visit([](const auto& kind) { return kind.name; },
                                      plan.kernels[static_cast<size_t>(planned.kernel)]);
  return "kernel " + name + ", step " + std::to_string(step) + " of " + plan.programs[program].name +
         (planned.origins.empty() ? "" : ", from " + planned.origins.front());
}

std::string shown_index(float value) {
  const bool is_integer = std::abs(value) < 1e18f && value == std::trunc(value);
  return is_integer ? std::to_string(static_cast<int64_t>(value)) : std::to_string(value);
}

}  // namespace weft
