// Steps that go by a library of matrix products: bound at load, where the library says whether it takes them, and
// decided anew by the rows of each run.
#include <algorithm>

#include "error.h"
#include "exec/executable.h"
#include "validate.h"

namespace weft::cuda {
namespace {

// The largest power of two, up to what the library asks about, that divides all addresses.
uint64_t common_alignment(const Matmul& call) {
  const uint64_t together = call.x | call.weight | call.out | call.addend | call.x_scales | call.weight_scales;
  uint64_t alignment = most_matmul_alignment;
  while (alignment > least_matmul_alignment && together % alignment != 0) alignment /= 2;
  return alignment;
}

// Compute capability from which on matrix units multiply NVFP4: 10.0.
constexpr int least_nvfp4_capability = 100;

[[noreturn]] void refuse_nvfp4(const std::string& why) {
  throw Error("[cuda] a plan for FP4 units must have a GPU and a library that multiply NVFP4; " + why +
              "; load it with fp4 \"emulated\" (compile it without --fp4 hardware)");
}

}  // namespace

void Executable::check_nvfp4() {
  if (!uses_nvfp4(compiled_->cuda)) return;
  const DeviceFacts& facts = gpu_->facts();
  const int capability = facts.compute_capability;
  if (capability < least_nvfp4_capability)
    refuse_nvfp4(facts.name + " has compute capability " + std::to_string(capability / 10) + "." + std::to_string(capability % 10) +
                 ", units for FP4 begin with 10.0");
  const MatmulLibrary* library = gpu_->matmul_library();
  const std::string why = library ? library->nvfp4_refusal() : gpu_->about_matmul_library();
  if (!why.empty()) refuse_nvfp4(why);
}

void Executable::bind_library_steps(size_t program, const std::vector<Function>& functions) {
  Program& bound = programs_[program];
  const auto bind_all = [&](const std::vector<plan::CudaLaunch>& sources) {
    std::vector<BoundLaunch> launches;
    for (const plan::CudaLaunch& source : sources) launches.push_back(bind(source, program, functions));
    return launches;
  };
  for (const plan::CudaLibraryStep& source : compiled_->cuda.programs[program].library_steps) {
    const auto before = [&](const BoundLaunch& launch) { return launch.source->step < source.step; };
    const auto until = [&](const BoundLaunch& launch) { return launch.source->step <= source.step; };
    BoundLibraryStep& step = bound.library_steps.emplace_back();
    step.source = &source;
    step.is_nvfp4 = uses_nvfp4(source);
    step.first = static_cast<size_t>(std::partition_point(bound.launches.begin(), bound.launches.end(), before) - bound.launches.begin());
    step.last = static_cast<size_t>(std::partition_point(bound.launches.begin(), bound.launches.end(), until) - bound.launches.begin());
    step.is_fixed = std::all_of(source.rows.begin(), source.rows.end(), is_constant) &&
                    std::all_of(source.products.begin(), source.products.end(),
                                [](const plan::CudaProduct& product) { return is_constant(product.contracted); });
    MatmulLibrary* library = gpu_->matmul_library();
    if (!library) {
      step.refusal = gpu_->about_matmul_library();
      continue;
    }
    if (!library_refusal_.empty()) {
      step.refusal = library_refusal_;
      continue;
    }
    step.before = bind_all(source.before);
    step.after = bind_all(source.after);
    int64_t most_rows = 1;
    for (const plan::Affine& extent : source.rows) most_rows *= plan::highest_value(prepared().bounds, extent);
    for (const plan::CudaProduct& product : source.products) {
      step.products.push_back(bind(product, program, source.step));
      MatmulShape shape = step.products.back().call.shape;
      shape.rows = most_rows;
      shape.contracted = plan::highest_value(prepared().bounds, product.contracted);
      if (step.refusal.empty()) step.refusal = library->prepare(shape);
      if (step.is_nvfp4 && !step.refusal.empty()) refuse_nvfp4(step.refusal + "; " + step.products.back().label);
    }
  }
}

Executable::BoundProduct Executable::bind(const plan::CudaProduct& source, size_t program, int64_t step) const {
  const auto address = [&](const plan::CudaMatrix& matrix) {
    const DevicePointer base = matrix.buffer < 0 ? scratch_.at(0) : slot_of(matrix.buffer).data;
    const int64_t bytes = matrix.dtype == plan::PlanDtype::nvfp4 ? matrix.offset / 2 : matrix.offset * plan::element_bytes(matrix.dtype);
    return base + static_cast<uint64_t>(bytes);
  };
  const std::string weight = source.weight.buffer < 0 ? "a weight in scratch" : plan().buffers[static_cast<size_t>(source.weight.buffer)].name;
  BoundProduct product{&source, step, {}, "product with " + weight + " (" + step_name(plan(), program, static_cast<size_t>(step)) + ")"};
  Matmul& call = product.call;
  call.x = address(source.x);
  call.weight = address(source.weight);
  call.out = address(source.out);
  call.shape = {0, source.columns, 0, source.x.stride, source.weight.stride, source.out.stride,
                0, source.out.dtype == plan::PlanDtype::bf16, source.is_x_transposed, source.is_weight_transposed,
                !source.scales.empty(), least_matmul_alignment};
  for (const plan::CudaMatrix& addend : source.addends) {
    call.addend = address(addend);
    call.shape.addend_stride = addend.stride;
  }
  for (const plan::CudaBlockScales& scales : source.scales) {
    call.x_scales = scratch_.at(static_cast<size_t>(scales.x));
    call.weight_scales = scratch_.at(static_cast<size_t>(scales.weight));
  }
  call.shape.alignment = common_alignment(call);
  call.workspace = workspace_.at(0);
  call.stream = gpu_->stream();
  return product;
}

int64_t Executable::library_rows(BoundLibraryStep& step, const int64_t* symbols, Grid grid) {
  if (!step.refusal.empty() || (grid == Grid::most && !step.is_fixed)) return 0;
  int64_t rows = 1;
  for (const plan::Affine& extent : step.source->rows) rows *= std::max<int64_t>(plan::evaluate(extent, symbols), 0);
  if (rows < step.source->least_rows) return 0;
  for (BoundProduct& product : step.products) {
    MatmulShape& shape = product.call.shape;
    shape.rows = rows;
    shape.contracted = plan::evaluate(product.source->contracted, symbols);
    const std::string refusal = shape.contracted < 1 ? "nothing is contracted" : gpu_->matmul_library()->prepare(shape);
    if (refusal.empty()) continue;
    if (step.is_nvfp4) gpu_->fail(refusal, product.label + ", " + std::to_string(rows) + " rows in FP4 units");
    // What it does not take, the launches do.
    return 0;
  }
  return rows;
}

void Executable::put_product(BoundProduct& product, int64_t rows) {
  Matmul& call = product.call;
  call.label = product.label.c_str();
  const auto what = [&] {
    return product.label + ", " + std::to_string(rows) + " x " + std::to_string(call.shape.columns) + " x " + std::to_string(call.shape.contracted);
  };
  if (const std::string failure = gpu_->matmul_library()->multiply(call); !failure.empty()) gpu_->fail(failure, what());
  if (gpu_->options().wait_for_each_launch) finish_all(what());
}

std::vector<LibraryChoice> Executable::library_choices() const {
  std::vector<LibraryChoice> choices;
  for (size_t program = 0; program < programs_.size(); ++program)
    for (const BoundLibraryStep& step : programs_[program].library_steps)
      choices.push_back({program, static_cast<size_t>(step.source->step), step.source->least_rows, step.is_nvfp4, step.refusal});
  return choices;
}

}  // namespace weft::cuda
