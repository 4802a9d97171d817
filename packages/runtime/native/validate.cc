#include "validate.h"

#include <algorithm>
#include <set>

#include "error.h"
#include "validate_checker.h"

namespace weft::plan {
namespace {

std::string item(const std::string& place, size_t index) { return place + "[" + std::to_string(index) + "]"; }

// Depth-first over sums; a symbol met again while it is open is part of a cycle.
bool is_cyclic(const std::vector<PlanSymbol>& symbols, size_t index, std::vector<int>& state) {
  if (state[index] != 0) return state[index] == 1;
  state[index] = 1;
  for (const int64_t part : symbols[index].sum)
    if (is_cyclic(symbols, static_cast<size_t>(part), state)) return true;
  state[index] = 2;
  return false;
}

// Throws at the first problem: bounds need sound symbols.
void check_symbols(const std::vector<PlanSymbol>& symbols) {
  if (symbols.size() > 1024) throw Error("plan.symbols: more than 1024");
  std::set<std::string> names;
  for (size_t i = 0; i < symbols.size(); ++i) {
    const std::string place = item("plan.symbols", i);
    if (!names.insert(symbols[i].name).second) throw Error(place + ".name: \"" + symbols[i].name + "\" is there twice");
    if (symbols[i].max < 0 || symbols[i].max > largest_extent) throw Error(place + ".max: must be 0 to 2^31");
    if (symbols[i].sum.size() > 1024) throw Error(place + ".sum: has more than 1024 parts");
    for (const int64_t part : symbols[i].sum)
      if (part < 0 || static_cast<size_t>(part) >= symbols.size())
        throw Error(place + ".sum: names symbol " + std::to_string(part) + " of " + std::to_string(symbols.size()));
  }
  std::vector<int> state(symbols.size(), 0);
  for (size_t i = 0; i < symbols.size(); ++i)
    if (is_cyclic(symbols, i, state)) throw Error(item("plan.symbols", i) + ".sum: contains itself");
}

int64_t arena_bytes(const PlanMemory& memory, BufferClass class_) {
  switch (class_) {
    case BufferClass::weights: return memory.weights;
    case BufferClass::state: return memory.state;
    case BufferClass::activations: return memory.activations;
    case BufferClass::input: return memory.input;
    case BufferClass::output: return memory.output;
  }
  return 0;
}

// Of `needed` elements: whole groups of 16 rows, half a byte for each element and one for each block of 16.
bool nvfp4_bytes(Checker& checker, const PlanBuffer& buffer, Wide& needed, const std::string& place) {
  const int64_t length = buffer.shape.empty() ? 0 : buffer.shape.back();
  if (!checker.require(length >= 16 && length % 16 == 0, place, "must end with a multiple of 16")) return false;
  checker.require(buffer.class_ == BufferClass::weights || buffer.class_ == BufferClass::state, place,
                  "of nvfp4 must be that of a weight or a state");
  needed = (needed / length + 15) / 16 * length * 9;
  return true;
}

void check_buffers(Checker& checker) {
  const PlanMemory& memory = checker.plan.memory;
  for (const int64_t bytes : {memory.weights, memory.state, memory.activations, memory.input, memory.output})
    checker.require(bytes >= 0 && bytes <= largest_arena, "plan.memory", "sizes must be 0 to 2^46");
  for (size_t i = 0; i < checker.plan.buffers.size(); ++i) {
    const PlanBuffer& buffer = checker.plan.buffers[i];
    const std::string place = item("plan.buffers", i) + " (" + buffer.name + ")";
    Wide needed = element_bytes(buffer.dtype);
    bool sound = buffer.shape.size() <= 16;
    for (const int64_t size : buffer.shape) {
      sound = sound && size >= 0 && needed <= largest_arena;
      if (sound) needed *= size;
    }
    if (!checker.require(sound && needed <= largest_arena, place + ".shape", "is negative or too large")) continue;
    if (buffer.dtype == PlanDtype::nvfp4 && !nvfp4_bytes(checker, buffer, needed, place + ".shape")) continue;
    checker.require(buffer.dtype != PlanDtype::f8e4m3 || buffer.class_ == BufferClass::weights, place + ".dtype",
                    "of f8e4m3 must be that of a weight");
    checker.require(buffer.bytes >= needed, place + ".bytes",
                    std::to_string(buffer.bytes) + " is less than the shape's " + text_of(needed));
    checker.require(buffer.offset >= 0 && buffer.offset % 256 == 0, place + ".offset",
                    "must be a multiple of 256, not " + std::to_string(buffer.offset));
    const int64_t axes = static_cast<int64_t>(buffer.shape.size());
    checker.require(buffer.positions == -1 ||
                        (buffer.class_ == BufferClass::state && buffer.positions >= 0 && buffer.positions < axes),
                    place + ".positions", "must be -1, or an axis of a state");
    if (buffer.class_ == BufferClass::weights) {
      checker.require(buffer.offset == 0, place + ".offset", "must be 0 for weights");
      checker.require(buffer.bytes == needed, place + ".bytes", "must be the shape's " + text_of(needed));
      continue;
    }
    const int64_t arena = arena_bytes(memory, buffer.class_);
    checker.require(buffer.bytes <= arena && buffer.offset <= arena - buffer.bytes, place,
                    "does not lie in its arena of " + std::to_string(arena) + " bytes");
  }
}

void check_step(Checker& checker, const PlanStep& step, const std::vector<KernelFacts>& facts, const std::string& place) {
  const Plan& plan = checker.plan;
  if (step.kernel < 0 || static_cast<size_t>(step.kernel) >= plan.kernels.size()) {
    checker.fail(place + ".kernel", "names kernel " + std::to_string(step.kernel) + " of " +
                                        std::to_string(plan.kernels.size()));
    return;
  }
  const size_t kernel = static_cast<size_t>(step.kernel);
  const auto& slots = std::visit([](const auto& kind) -> const std::vector<Slot>& { return kind.slots; },
                                 plan.kernels[kernel]);
  if (!checker.require(step.bindings.size() == slots.size(), place + ".bindings",
                       "are " + std::to_string(step.bindings.size()) + " for " + std::to_string(slots.size()) + " slots"))
    return;
  for (size_t i = 0; i < slots.size(); ++i) {
    const std::string at = item(place + ".bindings", i);
    const int64_t index = step.bindings[i];
    if (index < 0 || static_cast<size_t>(index) >= plan.buffers.size()) {
      checker.fail(at, "names buffer " + std::to_string(index) + " of " + std::to_string(plan.buffers.size()));
      continue;
    }
    const PlanBuffer& buffer = plan.buffers[static_cast<size_t>(index)];
    checker.require(buffer.dtype == slots[i].dtype, at,
                    "binds " + buffer.name + " of " + name_of(buffer.dtype) + " to a slot of " + name_of(slots[i].dtype));
    if (slots[i].access != SlotAccess::read)
      checker.require(buffer.class_ != BufferClass::weights && buffer.class_ != BufferClass::input, at,
                      "writes to " + buffer.name + ", which is of class " + name_of(buffer.class_));
    if (buffer.dtype == PlanDtype::nvfp4)
      checker.require(!buffer.shape.empty() && buffer.shape.back() == slots[i].row_length, at,
                      "binds " + buffer.name + " to a slot with rows of " + std::to_string(slots[i].row_length));
    const int64_t elements = elements_of(buffer);
    checker.require(facts[kernel].slot_elements[i] <= elements, at,
                    "the kernel reaches element " + std::to_string(facts[kernel].slot_elements[i] - 1) + " of " +
                        buffer.name + ", which has " + std::to_string(elements));
  }
}

void check_port(Checker& checker, const PlanPort& port, bool is_input, const std::string& place) {
  if (port.buffer < 0 || static_cast<size_t>(port.buffer) >= checker.plan.buffers.size()) {
    checker.fail(place + ".buffer", "names buffer " + std::to_string(port.buffer) + " of " +
                                        std::to_string(checker.plan.buffers.size()));
    return;
  }
  const PlanBuffer& buffer = checker.plan.buffers[static_cast<size_t>(port.buffer)];
  if (is_input) {
    checker.require(buffer.class_ == BufferClass::input, place + ".buffer", "must be of class input");
    checker.require(buffer.dtype == PlanDtype::f32 || buffer.dtype == PlanDtype::i32, place + ".buffer",
                    "must be f32 or i32");
  } else {
    checker.require(buffer.class_ != BufferClass::weights, place + ".buffer", "must not be of class weights");
  }
  Wide elements = 1;
  for (size_t i = 0; i < port.shape.size(); ++i) {
    const std::string at = item(place + ".shape", i);
    const Linear size = checker.linear(port.shape[i], at);
    const Wide most = checker.bounds.highest(size);
    if (!checker.require(checker.bounds.lowest(size) >= 0 && most <= largest_extent, at, "must be 0 to 2^31")) return;
    // A port of the buffer's rank lies in it by the buffer's strides.
    if (port.shape.size() == buffer.shape.size() && !checker.require(most <= buffer.shape[i], at, "exceeds its buffer's"))
      return;
    elements *= most;
    if (!checker.require(elements <= largest_arena, at, "makes it too large")) return;
  }
  checker.require(elements <= elements_of(buffer), place + ".shape",
                  "can hold more than its buffer " + buffer.name);
}

void check_program(Checker& checker, const PlanProgram& program, const std::vector<KernelFacts>& facts,
                   const std::string& place) {
  const auto ports = [&](const std::vector<PlanPort>& list, bool is_input) {
    std::set<std::string> names;
    for (size_t i = 0; i < list.size(); ++i) {
      const std::string at = item(place + (is_input ? ".inputs" : ".outputs"), i);
      checker.require(names.insert(list[i].name).second, at + ".name", "\"" + list[i].name + "\" is there twice");
      check_port(checker, list[i], is_input, at);
    }
  };
  ports(program.inputs, true);
  ports(program.outputs, false);
  for (size_t i = 0; i < program.steps.size(); ++i)
    check_step(checker, program.steps[i], facts, item(place + ".steps", i));
}

void check_all(Checker& checker, Validation& result) {
  const Plan& plan = checker.plan;
  check_buffers(checker);
  for (size_t i = 0; i < plan.kernels.size(); ++i) {
    const std::string& name =
        std::visit([](const auto& kind) -> const std::string& { return kind.name; }, plan.kernels[i]);
    result.kernels.push_back(check_kernel(checker, plan.kernels[i], item("plan.kernels", i) + " (" + name + ")"));
  }
  std::set<std::string> names;
  for (size_t i = 0; i < plan.programs.size(); ++i) {
    const std::string place = item("plan.programs", i);
    checker.require(names.insert(plan.programs[i].name).second, place + ".name",
                    "\"" + plan.programs[i].name + "\" is there twice");
    check_program(checker, plan.programs[i], result.kernels, place);
  }
}

}  // namespace

int64_t element_bytes(PlanDtype dtype) {
  if (dtype == PlanDtype::f8e4m3 || dtype == PlanDtype::nvfp4 || dtype == PlanDtype::i8) return 1;
  return dtype == PlanDtype::f32 || dtype == PlanDtype::i32 ? 4 : 2;
}

bool is_kept_as_is(PlanDtype dtype) {
  return dtype == PlanDtype::i32 || dtype == PlanDtype::i8 || dtype == PlanDtype::f8e4m3 || dtype == PlanDtype::nvfp4;
}

int64_t elements_of(const PlanBuffer& buffer) {
  if (buffer.dtype != PlanDtype::nvfp4) return buffer.bytes / element_bytes(buffer.dtype);
  int64_t elements = 1;
  for (const int64_t size : buffer.shape) elements *= size;
  return elements;
}

Validation validate(const Plan& plan) {
  if (plan.version != plan_version)
    throw Error("plan.version: is " + std::to_string(plan.version) + ", this runtime executes version " +
                std::to_string(plan_version) + "; compile the plan again");
  check_symbols(plan.symbols);
  const SymbolBounds bounds(plan.symbols);
  std::vector<std::string> problems;
  Checker checker(plan, bounds, problems);
  Validation result;
  bool complete = true;
  try {
    check_all(checker, result);
  } catch (const EnoughProblems&) {
    complete = false;
  }
  if (problems.empty()) return result;
  std::string text = "the plan is not sound:";
  for (const std::string& problem : problems) text += "\n  " + problem;
  if (!complete) text += "\n  (and perhaps more)";
  throw Error(text);
}

int64_t highest_value(const SymbolBounds& bounds, const Affine& affine) {
  const auto linear = bounds.linear(affine);
  return linear ? static_cast<int64_t>(std::max<Wide>(bounds.highest(*linear), 0)) : 0;
}

}  // namespace weft::plan
