// One run of a program: symbols and inputs to the device, launches in order, outputs back. A steady program is captured
// by its second run and replayed from then on.
#include <algorithm>
#include <cstring>
#include <span>

#include "error.h"
#include "exec/executable.h"
#include "node/port_layout.h"
#include "validate.h"

namespace weft::cuda {

void Executable::run(size_t program, const int64_t* symbols, const std::vector<bool>& outputs, int64_t* times) {
  gpu_->require_alive();
  const std::vector<plan::PlanPort>& inputs = plan().programs[program].inputs;
  check_indices(plan(), program, gathers_[program].checks, symbols, [&](int64_t buffer) {
    for (size_t i = 0; i < inputs.size(); ++i)
      if (inputs[i].buffer == buffer) return static_cast<const char*>(input_data(program, i));
    throw Error("buffer " + plan().buffers[static_cast<size_t>(buffer)].name + " is no input of " + plan().programs[program].name);
  });
  int32_t* values = reinterpret_cast<int32_t*>(staging_.at(0));
  for (size_t i = 0; i < plan().symbols.size(); ++i) values[i] = static_cast<int32_t>(symbols[i]);
  try {
    Program& planned = programs_[program];
    if (times) {
      run_timed(program, symbols, outputs, times);
    } else if (planned.is_steady && !gpu_->options().wait_for_each_launch) {
      run_graph(program, symbols, outputs);
    } else {
      put_all(program, symbols, outputs, Grid::now);
    }
    finish("running " + plan().programs[program].name);
    if (!stop_.load()) check_fault(program);
  } catch (...) {
    // What was put on the stream before the failure still uses the memory.
    gpu_->drain();
    forget_fault(program);
    throw;
  }
  if (stop_.load()) throw Error("the run was ended: its executable or device was disposed");
}

template <class Copy>
void Executable::each_piece(const plan::PlanPort& port, const int64_t* symbols, Copy&& copy) const {
  const plan::PlanBuffer& buffer = plan().buffers[static_cast<size_t>(port.buffer)];
  const size_t width = static_cast<size_t>(plan::element_bytes(buffer.dtype));
  each_run(port, buffer, symbols, [&](size_t element, size_t, size_t count) { copy(element * width, count * width); });
}

void Executable::put_inputs(size_t program, const int64_t* symbols) {
  const auto copy = [&](DevicePointer to, size_t from, size_t bytes, const std::string& name) {
    gpu_->check(gpu_->driver().copy_to_device(to, staging_.at(from), bytes, gpu_->stream()), "cuMemcpyHtoDAsync",
                [&] { return name + " of " + plan().programs[program].name; });
  };
  if (layout_.symbol_bytes > 0) copy(control_.at(0), 0, layout_.symbol_bytes, "symbols");
  const std::vector<plan::PlanPort>& ports = plan().programs[program].inputs;
  for (size_t i = 0; i < ports.size(); ++i) {
    const DevicePointer data = slot_of(ports[i].buffer).data;
    const size_t staging = layout_.input_staging[program][i];
    each_piece(ports[i], symbols, [&](size_t offset, size_t bytes) { copy(data + offset, staging + offset, bytes, ports[i].name); });
  }
}

void Executable::put_launch(BoundLaunch& launch, uint32_t blocks, bool follows_kernel) {
  launch.args.set_blocks(blocks);
  Launch call;
  call.function = launch.function;
  call.blocks = blocks;
  call.threads = launch.threads;
  call.shared_bytes = launch.shared_bytes;
  call.stream = gpu_->stream();
  call.args = launch.args.data();
  call.args_bytes = launch.args.size();
  call.label = launch.label.c_str();
  call.overlaps_previous = follows_kernel && gpu_->options().overlap_launches;
  const auto where = [&] { return launch.label + ", " + std::to_string(blocks) + " blocks of " + std::to_string(launch.threads) + " threads"; };
  gpu_->check(gpu_->driver().launch(call), "cuLaunchKernelEx", where);
  if (gpu_->options().wait_for_each_launch) finish(where());
}

void Executable::put_outputs(size_t program, const int64_t* symbols, const std::vector<bool>& outputs) {
  const std::vector<plan::PlanPort>& ports = plan().programs[program].outputs;
  for (size_t i = 0; i < ports.size(); ++i) {
    if (!outputs[i]) continue;
    const DevicePointer data = slot_of(ports[i].buffer).data;
    char* staging = staging_.at(layout_.output_staging[program][i]);
    each_piece(ports[i], symbols, [&](size_t offset, size_t bytes) {
      gpu_->check(gpu_->driver().copy_to_host(staging + offset, data + offset, bytes, gpu_->stream()), "cuMemcpyDtoHAsync",
                  [&] { return ports[i].name + " of " + plan().programs[program].name; });
    });
  }
  if (!gathers_[program].has_computed) return;
  gpu_->check(gpu_->driver().copy_to_host(staging_.at(layout_.fault_staging), control_.at(layout_.fault_at),
                                          sizeof(GatherFault), gpu_->stream()),
              "cuMemcpyDtoHAsync", [&] { return "gather indices of " + plan().programs[program].name; });
}

void Executable::check_fault(size_t program) {
  if (!gathers_[program].has_computed) return;
  GatherFault fault;
  std::memcpy(&fault, staging_.at(layout_.fault_staging), sizeof fault);
  if (fault.count == 0) return;
  gpu_->check(gpu_->driver().fill(control_.at(layout_.fault_at), 0, sizeof fault, gpu_->stream()),
              "cuMemsetD8Async", [] { return std::string("clearing the report of gather indices"); });
  throw_gather_fault(plan(), program, fault.step, fault.index, fault.bound);
}

void Executable::forget_fault(size_t program) noexcept {
  // On a lost device the call fails as any other would; nothing runs there any more.
  if (gathers_[program].has_computed)
    gpu_->driver().fill(control_.at(layout_.fault_at), 0, sizeof(GatherFault), gpu_->stream());
}

template <class OnLaunch, class OnProduct>
void Executable::each_call(Program& program, const int64_t* symbols, Grid grid, OnLaunch&& on_launch, OnProduct&& on_product) {
  const auto launch_all = [&](std::span<BoundLaunch> launches) {
    for (BoundLaunch& launch : launches) {
      if (stop_.load()) return;
      const uint32_t blocks = grid == Grid::most ? launch.most_blocks : blocks_of(launch, symbols);
      if (blocks > 0) on_launch(launch, blocks);
    }
  };
  const std::span<BoundLaunch> launches(program.launches);
  size_t done = 0;
  for (BoundLibraryStep& step : program.library_steps) {
    const int64_t rows = library_rows(step, symbols, grid);
    if (rows == 0) continue;
    launch_all(launches.subspan(done, step.first - done));
    launch_all(step.before);
    for (BoundProduct& product : step.products)
      if (!stop_.load()) on_product(product, rows);
    launch_all(step.after);
    done = step.last;
  }
  launch_all(launches.subspan(done));
}

void Executable::put_all(size_t program, const int64_t* symbols, const std::vector<bool>& outputs, Grid grid) {
  put_inputs(program, symbols);
  // A copy in front has ended before a kernel starts, and so has a product of the library; only kernels overlap.
  bool follows_kernel = false;
  const auto on_launch = [&](BoundLaunch& launch, uint32_t blocks) {
    put_launch(launch, blocks, follows_kernel);
    follows_kernel = true;
  };
  const auto on_product = [&](BoundProduct& product, int64_t rows) {
    put_product(product, rows);
    follows_kernel = false;
  };
  each_call(programs_[program], symbols, grid, on_launch, on_product);
  if (stop_.load()) return;
  put_outputs(program, symbols, outputs);
}

void Executable::run_graph(size_t program, const int64_t* symbols, const std::vector<bool>& outputs) {
  auto [found, is_first] = programs_[program].graphs.try_emplace(outputs);
  // A program that runs once is not worth a graph.
  if (is_first) return put_all(program, symbols, outputs, Grid::now);
  if (!found->second.get()) found->second = capture(program, symbols, outputs);
  gpu_->check(gpu_->driver().launch_graph(found->second.get(), gpu_->stream()), "cuGraphLaunch",
              [&] { return "the graph of " + plan().programs[program].name; });
}

OwnedGraph Executable::capture(size_t program, const int64_t* symbols, const std::vector<bool>& outputs) {
  const auto where = [&] { return "capturing " + plan().programs[program].name; };
  gpu_->check(gpu_->driver().begin_capture(gpu_->stream()), "cuStreamBeginCapture", where);
  Graph graph = 0;
  try {
    put_all(program, symbols, outputs, Grid::most);
  } catch (...) {
    // The stream must leave the capture before anything else can be done with it.
    if (gpu_->driver().end_capture(gpu_->stream(), graph) == success && graph) gpu_->driver().destroy_graph(graph);
    throw;
  }
  gpu_->check(gpu_->driver().end_capture(gpu_->stream(), graph), "cuStreamEndCapture", where);
  OwnedGraph result(*gpu_, graph);
  // A capture that was ended early is no program.
  if (stop_.load()) throw Error("the run was ended: its executable or device was disposed");
  return result;
}

void Executable::run_timed(size_t program, const int64_t* symbols, const std::vector<bool>& outputs, int64_t* times) {
  Program& planned = programs_[program];
  size_t most = planned.launches.size();
  for (const BoundLibraryStep& step : planned.library_steps) most += step.before.size() + step.products.size() + step.after.size();
  while (marks_.size() < most + 1) marks_.push_back(make_event(*gpu_));
  const auto where = [&] { return "profiling " + plan().programs[program].name; };
  // The step that each mark ends.
  std::vector<int64_t> steps;
  const auto mark = [&] {
    gpu_->check(gpu_->driver().record_event(marks_[steps.size()].get(), gpu_->stream()), "cuEventRecord", where);
  };
  put_inputs(program, symbols);
  mark();
  const auto on_launch = [&](BoundLaunch& launch, uint32_t blocks) {
    put_launch(launch, blocks, false);
    steps.push_back(launch.source->step);
    mark();
  };
  const auto on_product = [&](BoundProduct& product, int64_t rows) {
    put_product(product, rows);
    steps.push_back(product.step);
    mark();
  };
  each_call(planned, symbols, Grid::now, on_launch, on_product);
  put_outputs(program, symbols, outputs);
  finish("profiling " + plan().programs[program].name);
  if (stop_.load()) return;
  std::fill_n(times, plan().programs[program].steps.size(), 0);
  for (size_t i = 0; i < steps.size(); ++i) {
    float milliseconds = 0;
    gpu_->check(gpu_->driver().elapsed(milliseconds, marks_[i].get(), marks_[i + 1].get()), "cuEventElapsedTime", where);
    times[steps[i]] += static_cast<int64_t>(static_cast<double>(milliseconds) * 1e6);
  }
}

void Executable::finish(const std::string& what) {
  const auto where = [&] { return what; };
  gpu_->check(gpu_->driver().record_event(done_.get(), gpu_->stream()), "cuEventRecord", where);
  gpu_->wait(done_.get(), where);
}

}  // namespace weft::cuda
