#include "loaded/index_checks.h"

#include <cmath>

#include "error.h"
#include "validate.h"
#include "weights/convert_elements.h"

namespace weft {

namespace {

// A kernel's row programs; those of a matmul gather in their prologue and epilogues.
std::vector<const plan::RowProgram*> row_programs(const plan::Kernel& kernel) {
  if (const auto* rows = std::get_if<plan::RowsKernel>(&kernel)) return {&rows->program};
  const auto* matmul = std::get_if<plan::MatmulKernel>(&kernel);
  if (!matmul) return {};
  std::vector<const plan::RowProgram*> result{&matmul->prologue};
  for (const plan::MatmulGroup& group : matmul->groups) result.push_back(&group.epilogue);
  return result;
}

}  // namespace

std::vector<ProgramGathers> gathers(const plan::Plan& plan) {
  std::vector<ProgramGathers> result;
  for (const plan::PlanProgram& program : plan.programs) {
    ProgramGathers& found = result.emplace_back();
    for (size_t step = 0; step < program.steps.size(); ++step) {
      const plan::PlanStep& planned = program.steps[step];
      const plan::Kernel& kernel = plan.kernels[static_cast<size_t>(planned.kernel)];
      const auto add = [&](const std::vector<plan::Loop>& loops, const plan::Access* access, plan::Affine bound) {
        const int64_t source = access ? planned.bindings[static_cast<size_t>(access->slot)] : 0;
        if (access && plan.buffers[static_cast<size_t>(source)].class_ == plan::BufferClass::input)
          found.checks.push_back({step, &loops, access, std::move(bound), source});
        else
          found.has_computed = true;
      };
      if (const auto* scatter = std::get_if<plan::ScatterAddKernel>(&kernel))
        add(scatter->positions, &scatter->indices, scatter->bound);
      for (const plan::RowProgram* rows : row_programs(kernel)) {
        for (const plan::Instruction& instruction : rows->body) {
          const auto* gather = std::get_if<plan::GatherInstruction>(&instruction);
          if (!gather) continue;
          const auto* load = std::get_if<plan::LoadInstruction>(&rows->body[static_cast<size_t>(gather->index)]);
          add(rows->loops, load ? &load->access : nullptr, {gather->bound, {}});
        }
      }
    }
  }
  return result;
}

void check_indices(const plan::Plan& plan, size_t program, const std::vector<IndexCheck>& checks,
                   const int64_t* symbols, const std::function<const char*(int64_t buffer)>& data) {
  for (const IndexCheck& check : checks) {
    const plan::Access& access = *check.access;
    const plan::PlanBuffer& source = plan.buffers[static_cast<size_t>(check.buffer)];
    const int64_t width = plan::element_bytes(source.dtype);
    const char* memory = data(check.buffer);
    int64_t rows = 1;
    int64_t extents[plan::most_loops] = {};
    const size_t loops = check.loops->size();
    for (size_t i = 0; i < loops; ++i) rows *= extents[i] = plan::evaluate((*check.loops)[i].extent, symbols);
    const int64_t bound = plan::evaluate(check.bound, symbols);
    const int64_t offset = plan::evaluate(access.offset, symbols);
    for (int64_t row = 0; row < rows; ++row) {
      int64_t element = offset, rest = row;
      for (size_t i = loops; i-- > 0;) {
        element += access.strides[i] * (rest % extents[i]);
        rest /= extents[i];
      }
      const float value = read_element(memory + element * width, source.dtype);
      if (value >= 0.0f && value < static_cast<float>(bound)) continue;
      throw Error("input " + source.name + ": value " + shown_index(value) + " at index " + std::to_string(element) +
                  " must be 0 to " + std::to_string(bound - 1) + " (" + step_name(plan, program, check.step) + ")");
    }
  }
}

void throw_gather_fault(const plan::Plan& plan, size_t program, size_t step, float index, int64_t bound) {
  throw Error("a row of a table was asked for by index " + shown_index(index) + ", which must be 0 to " +
              std::to_string(bound - 1) + " (" + step_name(plan, program, step) + "); the state may hold a part of this run");
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
