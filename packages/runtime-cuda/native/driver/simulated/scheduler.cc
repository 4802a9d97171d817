#include "scheduler.h"

#include <algorithm>
#include <chrono>
#include <numeric>

#include "deadlock.h"
#include "faults.h"
#include "primitives.h"
#include "status.h"

namespace weft::cuda::sim {

namespace {

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void run_thread(void* argument) {
  ThreadRun& thread = *static_cast<ThreadRun*>(argument);
  const LaunchRun& launch = *thread.run->launch;
  launch.kernel->run(launch.args);
  thread.state = ThreadState::ended;
}

// How often the clock is looked at.
constexpr uint64_t steps_at_once = 1 << 16;

void grant_steps(LaunchRun& launch) {
  launch.steps_granted = steps_at_once;
  const uint64_t most = launch.options->most_steps;
  if (most != 0) launch.steps_granted = std::min(launch.steps_granted, most - launch.steps_done + 1);
  launch.steps_left = launch.steps_granted;
}

}  // namespace

void wait(ThreadRun& thread, ThreadState state, const char* what, const weft_sim::Place* place) {
  thread.state = state;
  thread.waits_in = what;
  thread.waits_at = place;
  thread.fiber.suspend();
}

void wake(ThreadRun& thread) {
  thread.state = ThreadState::ready;
  thread.run->launch->ready.push_back(&thread);
}

void yield_sometimes(ThreadRun& thread) {
  LaunchRun& launch = *thread.run->launch;
  if (launch.ready.empty() || launch.random.below(4) != 0) return;
  launch.ready.push_back(&thread);
  thread.fiber.suspend();
}

void watch(ThreadRun& thread, const weft_sim::Place* place) {
  LaunchRun& launch = *thread.run->launch;
  launch.steps_done += launch.steps_granted;
  const uint64_t most = launch.options->most_steps;
  const bool too_many = most != 0 && launch.steps_done > most;
  if (too_many || seconds() > launch.deadline) {
    fail_or_confirm(launch, launch_timeout,
         "block " + std::to_string(thread.run->number) + ", thread " + std::to_string(thread.index) + " at " +
             text_of(launch, place) + ": the kernel does not end: stopped after " + std::to_string(launch.steps_done) + " primitives" +
             (too_many ? "" : " and " + std::to_string(static_cast<int>(launch.options->most_seconds)) + " s"));
    abandon(thread);
  }
  grant_steps(launch);
}

Scheduler::Scheduler(const SimulatorOptions& options, DeviceMemory& memory)
    : options_(options), memory_(memory), table_(primitive_table()) {}

bool Scheduler::begin_block(LaunchRun& launch, BlockRun& block, uint32_t number) {
  block.launch = &launch;
  block.number = number;
  block.count = launch.threads;
  block.ended = block.arrived = 0;
  block.fenced = block.waited_for_inputs = false;
  block.fences_at_barrier.reset();
  block.acquired.clear();
  block.barrier_time = launch.tick(block);
  if (block.shared_capacity < launch.shared_bytes || block.shared == nullptr) {
    block.shared_capacity = launch.shared_bytes;
    block.shared.reset();
    // The arena is aligned as on the device.
    block.shared_memory = std::make_unique<unsigned char[]>(block.shared_capacity + 128);
    const auto base = reinterpret_cast<uintptr_t>(block.shared_memory.get());
    block.shared = std::make_unique<MemoryBuffer>(block.shared_memory.get() + (128 - base % 128),
                                                  block.shared_capacity, true);
  }
  block.shared->bytes = launch.shared_bytes;
  block.shared->shadow.forget();
  fill_with_garbage(block.shared->base, launch.shared_bytes);
  const size_t threads = static_cast<size_t>(launch.threads);
  while (block.warps.size() < threads / 32) block.warps.push_back(std::make_unique<WarpRun>());
  for (auto& warp : block.warps) {
    warp->arrived = 0;
    warp->sync_time = 0;
  }
  while (block.threads.size() < threads) block.threads.push_back(std::make_unique<ThreadRun>());
  for (size_t i = 0; i < threads; ++i) {
    ThreadRun& thread = *block.threads[i];
    static_cast<weft_sim::Thread&>(thread) = {static_cast<int>(i), launch.threads, number, launch.blocks,
                                              block.shared.get()};
    thread.run = &block;
    thread.warp = block.warps[i / 32].get();
    thread.copies.clear();
    thread.open_group = 0;
    thread.fence = {};
    thread.inputs_ready = !launch.overlaps;
    if (!thread.fiber.start(stacks_, run_thread, &thread)) return false;
    wake(thread);
  }
  return true;
}

void Scheduler::run_some(LaunchRun& launch, ThreadRun& thread) {
  table_.current = &thread;
  thread.fiber.resume();
  if (launch.failed || thread.state != ThreadState::ended) return;
  ++thread.run->ended;
}

void Scheduler::run_blocks(LaunchRun& launch) {
  std::vector<uint32_t> order(launch.blocks);
  std::iota(order.begin(), order.end(), 0u);
  // Some seeds run one block after the other, others several at a time.
  const size_t together = options_.resident_blocks > 0
                              ? static_cast<size_t>(options_.resident_blocks)
                              : 1 + launch.random.below(static_cast<uint32_t>(options_.multiprocessors));
  while (resident_.size() < together) resident_.push_back(std::make_unique<BlockRun>());
  std::vector<BlockRun*> idle, running;
  for (size_t i = 0; i < together; ++i) idle.push_back(resident_[i].get());
  while (!launch.failed) {
    while (!idle.empty() && !order.empty()) {
      std::swap(order[launch.random.below(static_cast<uint32_t>(order.size()))], order.back());
      BlockRun* block = idle.back();
      idle.pop_back();
      running.push_back(block);
      if (!begin_block(launch, *block, order.back())) {
        fail(launch, out_of_memory, "no memory for the threads of a block");
        return;
      }
      order.pop_back();
    }
    if (running.empty()) return;
    if (launch.ready.empty()) {
      fail_deadlock(launch, running);
      return;
    }
    const size_t next = launch.random.below(static_cast<uint32_t>(launch.ready.size()));
    ThreadRun& thread = *launch.ready[next];
    launch.ready[next] = launch.ready.back();
    launch.ready.pop_back();
    run_some(launch, thread);
    if (thread.state != ThreadState::ended || thread.run->ended < thread.run->count) continue;
    running.erase(std::find(running.begin(), running.end(), thread.run));
    idle.push_back(thread.run);
  }
}

Status Scheduler::run(const weft_sim::Kernel& kernel, const Launch& request, std::string& details) {
  LaunchRun launch;
  launch.kernel = &kernel;
  launch.args = request.args;
  launch.label = request.label;
  launch.blocks = request.blocks;
  launch.threads = static_cast<int>(request.threads);
  launch.shared_bytes = request.shared_bytes;
  launch.random = Random(options_.seed * 0x9e3779b97f4a7c15u + ++launches_);
  launch.places = &places_;
  launch.memory = &memory_;
  launch.table = &table_;
  launch.options = &options_;
  launch.clock = &clock_;
  launch.start_time = clock_ + 1;
  owners_.clear();
  launch.owners.swap(owners_);
  launch.overlaps = request.overlaps_previous && chained_;
  if (!launch.overlaps) chain_start_ = launch.start_time;
  launch.unsafe_from = chain_start_;
  chained_ = true;
  launch.deadline = seconds() + options_.most_seconds;
  grant_steps(launch);
  run_blocks(launch);
  table_.current = nullptr;
  launch.owners.swap(owners_);
  if (launch.failed) details = launch.details;
  return launch.status;
}

}  // namespace weft::cuda::sim
