// What a run puts on the stream: symbols and inputs to the device, launches in order, outputs back. The launches of a
// steady program are captured by its second run and replayed from then on. Copies are no part of the graph: one graph
// serves all slots and whatever outputs are wanted, and the calls for the copies are made while the run in front executes.
#include <span>
#include <utility>

#include "exec/executable.h"
#include "node/port_layout.h"
#include "validate.h"

namespace weft::cuda {

template <class Copy>
void Executable::each_piece(const plan::PlanPort& port, const int64_t* symbols, Copy&& copy) const {
  const plan::PlanBuffer& buffer = plan().buffers[static_cast<size_t>(port.buffer)];
  const size_t width = static_cast<size_t>(plan::element_bytes(buffer.dtype));
  each_run(port, buffer, symbols, [&](size_t element, size_t, size_t count) { copy(element * width, count * width); });
}

void Executable::put_inputs(const Run& run) {
  const size_t slot = layout_.slot_at(run.slot);
  const auto copy = [&](DevicePointer to, size_t from, size_t bytes, const std::string& name) {
    gpu_->check(gpu_->driver().copy_to_device(to, staging_.at(slot + from), bytes, gpu_->stream()), "cuMemcpyHtoDAsync",
                [&] { return name + " of " + plan().programs[run.program].name; });
  };
  if (layout_.symbol_bytes > 0) copy(control_.at(0), 0, layout_.symbol_bytes, "symbols");
  const std::vector<plan::PlanPort>& ports = plan().programs[run.program].inputs;
  for (size_t i = 0; i < ports.size(); ++i) {
    const DevicePointer data = slot_of(ports[i].buffer).data;
    const size_t staging = layout_.input_staging[run.program][i];
    each_piece(ports[i], run.symbols, [&](size_t offset, size_t bytes) { copy(data + offset, staging + offset, bytes, ports[i].name); });
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
  if (gpu_->options().wait_for_each_launch) finish_all(where());
}

void Executable::put_outputs(const Run& run) {
  const std::vector<plan::PlanPort>& ports = plan().programs[run.program].outputs;
  const size_t slot = layout_.slot_at(run.slot);
  for (size_t i = 0; i < ports.size(); ++i) {
    if (!(*run.outputs)[i]) continue;
    const DevicePointer data = slot_of(ports[i].buffer).data;
    char* staging = staging_.at(slot + layout_.output_staging[run.program][i]);
    each_piece(ports[i], run.symbols, [&](size_t offset, size_t bytes) {
      gpu_->check(gpu_->driver().copy_to_host(staging + offset, data + offset, bytes, gpu_->stream()), "cuMemcpyDtoHAsync",
                  [&] { return ports[i].name + " of " + plan().programs[run.program].name; });
    });
  }
  if (!gathers_[run.program].has_computed) return;
  gpu_->check(gpu_->driver().copy_to_host(staging_.at(slot + layout_.fault_staging), control_.at(layout_.fault_at),
                                          sizeof(GatherFault), gpu_->stream()),
              "cuMemcpyDtoHAsync", [&] { return "gather indices of " + plan().programs[run.program].name; });
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

void Executable::put_calls(const Run& run, Grid grid) {
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
  each_call(programs_[run.program], run.symbols, grid, on_launch, on_product);
}

void Executable::put_graph(const Run& run) {
  Program& program = programs_[run.program];
  // A program that runs once is not worth a graph.
  if (!std::exchange(program.has_run, true)) return put_calls(run, Grid::now);
  if (!program.graph.get()) program.graph = capture(run);
  gpu_->check(gpu_->driver().launch_graph(program.graph.get(), gpu_->stream()), "cuGraphLaunch",
              [&] { return "the graph of " + plan().programs[run.program].name; });
}

OwnedGraph Executable::capture(const Run& run) {
  const auto where = [&] { return "capturing " + plan().programs[run.program].name; };
  gpu_->check(gpu_->driver().begin_capture(gpu_->stream()), "cuStreamBeginCapture", where);
  Graph graph = 0;
  try {
    put_calls(run, Grid::most);
  } catch (...) {
    // The stream must leave the capture before anything else can be done with it.
    if (gpu_->driver().end_capture(gpu_->stream(), graph) == success && graph) gpu_->driver().destroy_graph(graph);
    throw;
  }
  gpu_->check(gpu_->driver().end_capture(gpu_->stream(), graph), "cuStreamEndCapture", where);
  OwnedGraph result(*gpu_, graph);
  // A capture that was ended early is no program.
  if (stop_.load()) throw_ended();
  return result;
}

void Executable::put_timed_calls(const Run& run) {
  Program& planned = programs_[run.program];
  size_t most = planned.launches.size();
  for (const BoundLibraryStep& step : planned.library_steps) most += step.before.size() + step.products.size() + step.after.size();
  while (marks_.size() < most + 1) marks_.push_back(make_event(*gpu_));
  marked_steps_.clear();
  const auto mark = [&] {
    gpu_->check(gpu_->driver().record_event(marks_[marked_steps_.size()].get(), gpu_->stream()), "cuEventRecord",
                [&] { return "profiling " + plan().programs[run.program].name; });
  };
  mark();
  const auto on_launch = [&](BoundLaunch& launch, uint32_t blocks) {
    put_launch(launch, blocks, false);
    marked_steps_.push_back(launch.source->step);
    mark();
  };
  const auto on_product = [&](BoundProduct& product, int64_t rows) {
    put_product(product, rows);
    marked_steps_.push_back(product.step);
    mark();
  };
  each_call(planned, run.symbols, Grid::now, on_launch, on_product);
}

}  // namespace weft::cuda
