// A run as JavaScript asks for it: names and typed arrays in, promise out.
#include <cstring>
#include <string>
#include <vector>

#include "error.h"
#include "node/entries.h"
#include "node/port_layout.h"
#include "node/run_job.h"
#include "node/values.h"
#include "validate.h"

namespace weft {
namespace {

std::string list(const std::vector<std::string>& names) {
  std::string result;
  for (const std::string& name : names) result += (result.empty() ? "" : ", ") + name;
  return result.empty() ? "none" : result;
}

size_t program_named(const plan::Plan& plan, const std::string& name) {
  std::vector<std::string> names;
  for (size_t i = 0; i < plan.programs.size(); ++i) {
    if (plan.programs[i].name == name) return i;
    names.push_back(plan.programs[i].name);
  }
  throw Error("the plan has no program \"" + name + "\"; it has: " + list(names));
}

// Refuses keys that are none of `names`.
void check_keys(const Napi::Object& object, const std::vector<std::string>& names, const std::string& what) {
  const Napi::Array keys = object.GetPropertyNames();
  for (uint32_t i = 0; i < keys.Length(); ++i) {
    const std::string key = keys.Get(i).ToString().Utf8Value();
    bool known = false;
    for (const std::string& name : names) known = known || name == key;
    if (!known) throw Error("there is no " + what + " \"" + key + "\"; there is: " + list(names));
  }
}

std::vector<int64_t> symbol_values(const Napi::Value& given, const PreparedPlan& prepared, size_t program) {
  const Napi::Object values = object(given, "symbols");
  std::vector<int64_t> result;
  std::vector<std::string> names;
  for (const plan::PlanSymbol& symbol : prepared.plan.symbols) {
    names.push_back(symbol.name);
    const Napi::Value value = values.Get(symbol.name);
    const int64_t number = value.IsUndefined() ? -1 : integer(value, "symbol " + symbol.name);
    if (number < 0 && !value.IsUndefined()) throw Error("symbol " + symbol.name + " must not be negative");
    result.push_back(number);
  }
  check_keys(values, names, "symbol");
  plan::resolve_symbols(prepared.plan, prepared.validation, prepared.plan.programs[program], result);
  return result;
}

size_t port_elements(const plan::PlanPort& port, const std::vector<int64_t>& symbols) {
  size_t elements = 1;
  for (const plan::Affine& size : port.shape) elements *= static_cast<size_t>(plan::evaluate(size, symbols.data()));
  return elements;
}

std::vector<std::string> port_names(const std::vector<plan::PlanPort>& ports) {
  std::vector<std::string> names;
  for (const plan::PlanPort& port : ports) names.push_back(port.name);
  return names;
}

}  // namespace

Napi::Value start_run(const Napi::CallbackInfo& info) {
  ExecutableHandle& handle = unwrap<ExecutableHandle>(info[0]);
  // Held: a getter among the arguments may dispose the handle's.
  const std::shared_ptr<LoadedPlan> held = handle.open();
  const LoadedPlan& executable = *held;
  const plan::Plan& plan = executable.plan();
  const size_t program = program_named(plan, text(info[1], "program"));
  const plan::PlanProgram& planned = plan.programs[program];
  std::vector<int64_t> symbols = symbol_values(info[2], executable.prepared(), program);

  const Napi::Object inputs = object(info[3], "inputs");
  check_keys(inputs, port_names(planned.inputs), "input");
  // All of them are checked before any is copied.
  std::vector<Napi::TypedArray> arrays;
  for (const plan::PlanPort& port : planned.inputs)
    arrays.push_back(port_array(inputs.Get(port.name), plan.buffers[static_cast<size_t>(port.buffer)],
                                port_elements(port, symbols), "input " + port.name));
  std::vector<RunJob::Output> outputs;
  const bool takes_all = info[4].IsUndefined();
  const Napi::Object given = takes_all ? Napi::Object::New(info.Env()) : object(info[4], "outputs");
  check_keys(given, port_names(planned.outputs), "output");
  for (size_t i = 0; i < planned.outputs.size(); ++i) {
    const plan::PlanPort& port = planned.outputs[i];
    const Napi::Value array = given.Get(port.name);
    if (!takes_all && array.IsUndefined()) continue;
    RunJob::Output output{&port, i, port_elements(port, symbols), {}};
    if (!array.IsUndefined())
      output.array = Napi::Persistent(port_array(array, plan.buffers[static_cast<size_t>(port.buffer)], output.elements,
                                                 "output " + port.name).As<Napi::Object>());
    outputs.push_back(std::move(output));
  }
  // Once more: a getter among the outputs may have detached them.
  for (size_t i = 0; i < arrays.size(); ++i)
    port_array(arrays[i], plan.buffers[static_cast<size_t>(planned.inputs[i].buffer)],
               port_elements(planned.inputs[i], symbols), "input " + planned.inputs[i].name);
  auto job = std::make_unique<RunJob>(info.Env(), handle, program, std::move(symbols), std::move(outputs),
                                      info[5].ToBoolean().Value());
  for (size_t i = 0; i < arrays.size(); ++i) {
    const plan::PlanPort& port = planned.inputs[i];
    each_run(port, plan.buffers[static_cast<size_t>(port.buffer)], job->symbols(),
             [&](size_t element, size_t dense, size_t count) {
               std::memcpy(executable.input_data(program, i, job->slot()) + element * 4, data_of(arrays[i]) + dense * 4, count * 4);
             });
  }
  return handle.dispatcher->add(std::move(job));
}

}  // namespace weft
