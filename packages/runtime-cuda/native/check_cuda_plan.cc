#include "check_cuda_plan.h"

#include <algorithm>
#include <set>

#include "check_library_step.h"
#include "error.h"
#include "validate_checker.h"

namespace weft::cuda {
namespace {

using plan::Checker;

std::string item(const std::string& place, size_t index) { return place + "[" + std::to_string(index) + "]"; }

bool in_range(int64_t index, size_t count) { return index >= 0 && static_cast<size_t>(index) < count; }

std::string of(int64_t index, size_t count) { return std::to_string(index) + " of " + std::to_string(count); }

void check_functions(Checker& checker, const plan::CudaPlan& cuda) {
  std::set<std::pair<int64_t, std::string>> names;
  for (size_t i = 0; i < cuda.functions.size(); ++i) {
    const plan::CudaFunction& function = cuda.functions[i];
    const std::string place = item("cudaPlan.functions", i) + " (" + function.name + ")";
    checker.require(in_range(function.module, cuda.modules.size()), place + ".module",
                    "names module " + of(function.module, cuda.modules.size()));
    checker.require(!function.name.empty() && function.name.find('\0') == std::string::npos, place + ".name",
                    "must be the name of a function");
    checker.require(names.insert({function.module, function.name}).second, place + ".name", "is there twice");
    checker.require(function.threads >= 32 && function.threads <= 1024 && function.threads % 32 == 0,
                    place + ".threads", "must be a multiple of 32 up to 1024, not " + std::to_string(function.threads));
    checker.require(function.shared_bytes >= 0 && function.shared_bytes <= (1 << 20), place + ".sharedBytes",
                    "must be 0 to 2^20, not " + std::to_string(function.shared_bytes));
    checker.require(in_range(function.slots, plan::most_slots + 1), place + ".slots",
                    "must be 0 to " + std::to_string(plan::most_slots) + ", not " + std::to_string(function.slots));
  }
}

void check_blocks(Checker& checker, const plan::CudaLaunch& launch, const std::string& place) {
  if (!checker.require(launch.blocks.size() <= plan::most_loops, place + ".blocks", "has too many loops")) return;
  plan::Wide most = 1;
  for (size_t i = 0; i < launch.blocks.size(); ++i) {
    const plan::CudaExtent& extent = launch.blocks[i];
    const std::string at = item(place + ".blocks", i);
    const plan::Linear value = checker.linear(extent.extent, at + ".extent");
    const bool is_sound = checker.bounds.is_moderate(value) && checker.bounds.highest(value) <= plan::largest_extent;
    if (!checker.require(is_sound, at + ".extent", "can pass 2^31")) return;
    if (!checker.require(extent.tile >= 1 && extent.tile <= plan::largest_extent, at + ".tile",
                         "must be 1 to 2^31, not " + std::to_string(extent.tile)))
      return;
    most *= std::max<plan::Wide>(1, (checker.bounds.highest(value) + extent.tile - 1) / extent.tile);
    if (!checker.require(most <= (plan::Wide{1} << 53), place + ".blocks", "can pass 2^53 in total")) return;
  }
}

void check_launch(Checker& checker, const plan::CudaPlan& cuda, const plan::CudaLaunch& launch,
                  const plan::PlanProgram& program, const std::string& place) {
  check_blocks(checker, launch, place);
  checker.require(launch.piece >= 0 && launch.piece <= plan::largest_extent, place + ".piece", "must be 0 to 2^31");
  checker.require(in_range(launch.per_multiprocessor, most_per_multiprocessor + 1), place + ".perMultiprocessor",
                  "must be 0 to " + std::to_string(most_per_multiprocessor) + ", not " +
                      std::to_string(launch.per_multiprocessor));
  if (!checker.require(in_range(launch.function, cuda.functions.size()), place + ".function",
                       "names function " + of(launch.function, cuda.functions.size())) ||
      !checker.require(in_range(launch.step, program.steps.size()), place + ".step",
                       "names step " + of(launch.step, program.steps.size())))
    return;
  const plan::CudaFunction& function = cuda.functions[static_cast<size_t>(launch.function)];
  checker.require(launch.bindings.size() == static_cast<size_t>(std::max<int64_t>(function.slots, 0)),
                  place + ".bindings", "are " + std::to_string(launch.bindings.size()) + " for the " +
                                           std::to_string(function.slots) + " slots of " + function.name);
  const std::vector<int64_t>& allowed = program.steps[static_cast<size_t>(launch.step)].bindings;
  for (size_t i = 0; i < launch.bindings.size(); ++i)
    checker.require(std::find(allowed.begin(), allowed.end(), launch.bindings[i]) != allowed.end(),
                    item(place + ".bindings", i),
                    "is buffer " + std::to_string(launch.bindings[i]) + ", which step " + std::to_string(launch.step) +
                        " does not use");
}

void check_program(Checker& checker, const plan::CudaPlan& cuda, size_t index) {
  const plan::CudaProgram& mine = cuda.programs[index];
  const plan::PlanProgram& planned = checker.plan.programs[index];
  const std::string place = item("cudaPlan.programs", index) + " (" + mine.name + ")";
  checker.require(mine.name == planned.name, place + ".name", "must be \"" + planned.name + "\", as in the plan");
  std::vector<bool> has_launch(planned.steps.size(), false);
  int64_t last = 0;
  for (size_t i = 0; i < mine.launches.size(); ++i) {
    const plan::CudaLaunch& launch = mine.launches[i];
    const std::string at = item(place + ".launches", i);
    check_launch(checker, cuda, launch, planned, at);
    checker.require(launch.step >= last, at + ".step", "goes back to an earlier step; launches follow the plan's order");
    last = std::max(last, launch.step);
    if (in_range(launch.step, planned.steps.size())) has_launch[static_cast<size_t>(launch.step)] = true;
  }
  last = -1;
  for (size_t i = 0; i < mine.library_steps.size(); ++i) {
    const plan::CudaLibraryStep& step = mine.library_steps[i];
    const std::string at = item(place + ".librarySteps", i);
    checker.require(step.step > last, at + ".step", "does not follow the one in front");
    last = std::max(last, step.step);
    if (!checker.require(in_range(step.step, planned.steps.size()), at + ".step", "names step " + of(step.step, planned.steps.size())))
      continue;
    check_library_step(checker, cuda, step, planned.steps[static_cast<size_t>(step.step)], at);
    const auto check_launches = [&](const std::vector<plan::CudaLaunch>& launches, const std::string& which) {
      for (size_t j = 0; j < launches.size(); ++j) {
        check_launch(checker, cuda, launches[j], planned, item(at + which, j));
        checker.require(launches[j].step == step.step, item(at + which, j) + ".step", "must be " + std::to_string(step.step));
      }
    };
    check_launches(step.before, ".before");
    check_launches(step.after, ".after");
  }
  for (size_t i = 0; i < has_launch.size(); ++i)
    checker.require(has_launch[i], place + ".launches", "has none for step " + std::to_string(i));
}

void check_all(Checker& checker, const plan::CudaPlan& cuda) {
  checker.require(cuda.modules.size() <= 4096 && cuda.functions.size() <= 65536, "cudaPlan", "has too many parts");
  checker.require(cuda.scratch_bytes >= 0 && cuda.scratch_bytes <= plan::largest_arena, "cudaPlan.scratchBytes",
                  "must be 0 to 2^46");
  checker.require(cuda.library_scratch_bytes >= 0 && cuda.library_scratch_bytes <= plan::largest_arena,
                  "cudaPlan.libraryScratchBytes", "must be 0 to 2^46");
  checker.require(cuda.tickets >= 0 && cuda.tickets <= plan::largest_extent, "cudaPlan.tickets", "must be 0 to 2^31");
  for (const plan::PlanSymbol& symbol : checker.plan.symbols)
    checker.require(symbol.max <= INT32_MAX, "plan.symbols (" + symbol.name + ").max", "must fit the 32 bits that kernels read");
  check_functions(checker, cuda);
  if (!checker.require(cuda.programs.size() == checker.plan.programs.size(), "cudaPlan.programs",
                       "are " + std::to_string(cuda.programs.size()) + ", the plan has " +
                           std::to_string(checker.plan.programs.size())))
    return;
  for (size_t i = 0; i < cuda.programs.size(); ++i) check_program(checker, cuda, i);
}

}  // namespace

void check_cuda_plan(const plan::CudaPlan& cuda, const PreparedPlan& prepared) {
  if (cuda.version != plan::cuda_version)
    throw Error("cudaPlan.version: is " + std::to_string(cuda.version) + ", this runtime executes version " +
                std::to_string(plan::cuda_version) + "; compile the kernels again");
  if (cuda.plan != prepared.plan.hash)
    throw Error("cudaPlan.plan: belongs to the plan " + cuda.plan + ", this one is " + prepared.plan.hash +
                "; compile the kernels again");
  std::vector<std::string> problems;
  Checker checker(prepared.plan, prepared.bounds, problems);
  bool complete = true;
  try {
    check_all(checker, cuda);
  } catch (const plan::EnoughProblems&) {
    complete = false;
  }
  if (problems.empty()) return;
  std::string text = "the CUDA plan is not sound:";
  for (const std::string& problem : problems) text += "\n  " + problem;
  if (!complete) text += "\n  (and perhaps more)";
  throw Error(text);
}

void check_fits_device(const plan::CudaPlan& cuda, size_t shared_bytes_per_block, const std::string& device) {
  for (const plan::CudaFunction& function : cuda.functions)
    if (static_cast<size_t>(function.shared_bytes) > shared_bytes_per_block)
      throw Error("[cuda] kernel " + function.name + " needs " + std::to_string(function.shared_bytes) +
                  " bytes of shared memory per block; " + device + " has " + std::to_string(shared_bytes_per_block) +
                  "; compile the kernels for this GPU");
}

}  // namespace weft::cuda
