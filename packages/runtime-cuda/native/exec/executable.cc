#include "exec/executable.h"

#include <algorithm>

#include "check_cuda_plan.h"
#include "error.h"

namespace weft::cuda {
namespace {

// Blocks of a grid: its one dimension goes up to 2^31 - 1. Kernels stride over the rest.
constexpr int64_t most_grid = (int64_t{1} << 31) - 1;

}  // namespace

CompiledPlan::CompiledPlan(std::shared_ptr<const PreparedPlan> source, plan::CudaPlan plan)
    : prepared(std::move(source)), cuda(std::move(plan)) {
  check_cuda_plan(cuda, *prepared);
}

Executable::Executable(std::shared_ptr<Gpu> gpu, std::shared_ptr<const CompiledPlan> compiled, Images images,
                       std::vector<WeightOrigin> weights, const LoadOptions& options)
    : gpu_(std::move(gpu)), compiled_(std::move(compiled)),
      layout_(compiled_->prepared->plan, compiled_->cuda, gpu_->matmul_library() != nullptr), images_(std::move(images)), options_(options),
      upload_(std::move(weights), options.check_finite), gathers_(gathers(plan())) {
  if (images_.modules.size() != compiled_->cuda.modules.size())
    throw Error("images: are " + std::to_string(images_.modules.size()) + " for the " +
                std::to_string(compiled_->cuda.modules.size()) + " modules of the CUDA plan");
}

void Executable::load(const Progress& progress) {
  gpu_->require_alive();
  try {
    check_fits_device(compiled_->cuda, gpu_->facts().shared_bytes_per_block, gpu_->facts().name);
    check_nvfp4();
    check_limit();
    allocate();
    load_modules();
    bind_launches();
    upload_.execute(*gpu_, weights_, layout_, progress, stop_);
    finish_all("loading " + plan().name);
  } catch (...) {
    gpu_->drain();
    release();
    throw;
  }
}

void Executable::check_limit() {
  const size_t free = gpu_->free_bytes();
  const size_t room = options_.memory_limit > 0 ? std::min(options_.memory_limit, free) : free;
  if (layout_.workspace > 0 && memory().total() > room && !uses_nvfp4(compiled_->cuda)) {
    // A library is never why a plan does not fit.
    const size_t wanted = memory().total();
    layout_ = Layout(plan(), compiled_->cuda, false);
    library_refusal_ = "there is no room for what its way takes, " + std::to_string(wanted - memory().total()) + " bytes";
  }
  const MemoryTable table = memory();
  const std::string needs = "[memory] the plan " + plan().name + " needs " + std::to_string(table.total()) + " bytes, ";
  if (options_.memory_limit > 0 && table.total() > options_.memory_limit)
    throw Error(needs + "the limit is " + std::to_string(options_.memory_limit) + ":" + table.text());
  if (table.total() > free)
    throw Error(needs + gpu_->facts().name + " has " + std::to_string(free) + " of its " +
                std::to_string(gpu_->facts().total_bytes) + " free:" + table.text());
}

void Executable::allocate() {
  const Layout& layout = layout_;
  Gpu& gpu = *gpu_;
  weights_ = DeviceMemory(gpu, layout.weights, "weights");
  state_ = DeviceMemory(gpu, layout.state, "state");
  activations_ = DeviceMemory(gpu, layout.activations, "activations");
  input_ = DeviceMemory(gpu, layout.input, "input");
  output_ = DeviceMemory(gpu, layout.output, "output");
  scratch_ = DeviceMemory(gpu, layout.scratch, "scratch");
  workspace_ = DeviceMemory(gpu, layout.workspace, "the library of matrix products");
  control_ = DeviceMemory(gpu, layout.control, "symbols and counters");
  staging_ = PinnedMemory(gpu, layout.pinned(), "inputs and outputs");
  for (size_t i = 0; i < layout.slots; ++i) slots_.push_back({make_event(gpu), {}});
  // State begins as zeros, and so do counters; whoever reads other memory before it was written is wrong.
  const auto clear = [&](const DeviceMemory& memory, const char* what) {
    if (memory.bytes() > 0)
      gpu.check(gpu.driver().fill(memory.at(0), 0, memory.bytes(), gpu.stream()), "cuMemsetD8Async",
                [&] { return std::string("clearing ") + what; });
  };
  clear(state_, "the state");
  clear(control_, "counters");
}

void Executable::load_modules() {
  const plan::CudaPlan& cuda = compiled_->cuda;
  const std::string by = images_.toolkit_version.empty() ? "" : ", compiled by CUDA " + images_.toolkit_version;
  for (size_t i = 0; i < images_.modules.size(); ++i) {
    const std::vector<char>& image = images_.modules[i];
    Module module = 0;
    gpu_->check(gpu_->driver().load_module(module, image.data(), image.size()), "cuModuleLoadData",
                [&] { return "module " + cuda.modules[i].name + ", " + std::to_string(image.size()) + " bytes" + by; });
    modules_.emplace_back(*gpu_, module);
  }
  images_.modules.clear();
}

void Executable::bind_launches() {
  const plan::CudaPlan& cuda = compiled_->cuda;
  std::vector<Function> functions;
  for (const plan::CudaFunction& source : cuda.functions) {
    const auto where = [&] { return "kernel " + source.name + " of module " + cuda.modules[static_cast<size_t>(source.module)].name; };
    Function& function = functions.emplace_back();
    gpu_->check(gpu_->driver().get_function(function, modules_[static_cast<size_t>(source.module)].get(), source.name.c_str()),
                "cuModuleGetFunction", where);
    if (source.shared_bytes > 0)
      gpu_->check(gpu_->driver().allow_shared_bytes(function, static_cast<size_t>(source.shared_bytes)),
                  "cuFuncSetAttribute", where);
  }
  for (size_t i = 0; i < cuda.programs.size(); ++i) {
    Program& program = programs_.emplace_back();
    for (const plan::CudaLaunch& source : cuda.programs[i].launches) program.launches.push_back(bind(source, i, functions));
    bind_library_steps(i, functions);
  }
}

Executable::BoundLaunch Executable::bind(const plan::CudaLaunch& source, size_t program,
                                         const std::vector<Function>& functions) const {
  const DeviceSlot symbols{layout_.symbol_bytes ? control_.at(0) : 0, layout_.symbol_bytes};
  const DeviceSlot scratch{scratch_.at(0), scratch_.bytes()};
  const DeviceSlot tickets{layout_.ticket_bytes ? control_.at(layout_.tickets_at) : 0, layout_.ticket_bytes};
  const DeviceSlot fault{control_.at(layout_.fault_at), sizeof(GatherFault)};
  const plan::CudaFunction& function = compiled_->cuda.functions[static_cast<size_t>(source.function)];
  std::vector<DeviceSlot> slots;
  for (const int64_t buffer : source.bindings) slots.push_back(slot_of(buffer));
  const std::string step = step_name(plan(), program, static_cast<size_t>(source.step));
  BoundLaunch launch{&source, functions[static_cast<size_t>(source.function)], static_cast<uint32_t>(function.threads),
                     static_cast<uint32_t>(function.shared_bytes),
                     LaunchArgs(symbols, scratch, tickets, fault, source.step, source.piece, slots), function.name + " (" + step + ")", 0};
  launch.most_blocks = blocks_of(launch, nullptr);
  return launch;
}

DeviceSlot Executable::slot_of(int64_t index) const {
  const plan::PlanBuffer& buffer = plan().buffers[static_cast<size_t>(index)];
  const size_t offset = static_cast<size_t>(buffer.offset);
  const uint64_t bytes = static_cast<uint64_t>(buffer.bytes);
  switch (buffer.class_) {
    case plan::BufferClass::weights: return {weights_.at(layout_.weight_offsets[static_cast<size_t>(index)]), bytes};
    case plan::BufferClass::state: return {state_.at(offset), bytes};
    case plan::BufferClass::activations: return {activations_.at(offset), bytes};
    case plan::BufferClass::input: return {input_.at(offset), bytes};
    case plan::BufferClass::output: return {output_.at(offset), bytes};
  }
  return {};
}

// Without symbols: for their largest values.
uint32_t Executable::blocks_of(const BoundLaunch& launch, const int64_t* symbols) const {
  int64_t blocks = 1;
  for (const plan::CudaExtent& extent : launch.source->blocks) {
    const int64_t size = symbols ? plan::evaluate(extent.extent, symbols)
                                 : plan::highest_value(prepared().bounds, extent.extent);
    // At most 2^53 in total, as was checked.
    blocks *= (std::max<int64_t>(size, 0) + extent.tile - 1) / extent.tile;
  }
  if (blocks > 0 && launch.source->per_multiprocessor > 0)
    blocks = launch.source->per_multiprocessor * gpu_->facts().multiprocessors;
  return static_cast<uint32_t>(std::min(blocks, most_grid));
}

void Executable::release() noexcept {
  if (is_released_) return;
  is_released_ = true;
  programs_.clear();
  modules_.clear();
  marks_.clear();
  slots_.clear();
  staging_ = {};
  for (DeviceMemory* memory : {&weights_, &state_, &activations_, &input_, &output_, &scratch_, &workspace_, &control_}) *memory = {};
}

}  // namespace weft::cuda
