// What threads do together: barriers, shuffles and mma.
#include <algorithm>

#include "faults.h"
#include "primitives.h"

namespace weft::cuda::sim {

using weft_sim::Place;
using weft_sim::Thread;

namespace {

void describe_divergence(ThreadRun& run, const char* what, const Place* place, const char* other_what,
                         const Place* other_place, int other_thread, const char* who) {
  const LaunchRun& launch = *run.run->launch;
  fail(run, place, launch_failed,
       std::string("divergence: calls ") + what + " while thread " + std::to_string(other_thread) + " waits in " +
           other_what + " at " + text_of(launch, other_place) + ": all " + who + " must come to the same call");
}

// All lanes of the warp have come when this returns.
void meet(ThreadRun& run, const char* what, const Place* place, bool orders_memory) {
  WarpRun& warp = *run.warp;
  BlockRun& block = *run.run;
  if (warp.arrived == 0) {
    warp.what = what;
    warp.place = place;
    warp.first_thread = run.index;
  } else if (warp.place != place || warp.what != what) {
    describe_divergence(run, what, place, warp.what, warp.place, warp.first_thread, "32 lanes of a warp");
    abandon(run);
  }
  if (++warp.arrived < 32) {
    wait(run, ThreadState::at_warp, what, place);
    return;
  }
  warp.arrived = 0;
  warp.turn ^= 1;
  const int first = run.index / 32 * 32;
  const auto lane = [&](int i) -> ThreadRun& { return *block.threads[static_cast<size_t>(first + i)]; };
  if (orders_memory) {
    warp.sync_time = block.launch->tick(block);
    bool inputs_ready = false;
    for (int i = 0; i < 32; ++i) inputs_ready |= lane(i).inputs_ready;
    for (int i = 0; i < 32; ++i) lane(i).inputs_ready = inputs_ready;
  }
  for (int i = 0; i < 32; ++i)
    if (first + i != run.index) wake(lane(i));
  yield_sometimes(run);
}

void sync_warp(Thread* thread, const Place* place) {
  ThreadRun& run = run_of(thread);
  step(run, place);
  meet(run, "sync_warp", place, true);
}

const unsigned char* lay_down(ThreadRun& run, const char* what, const void* value, unsigned bytes, const Place* place) {
  WarpRun& warp = *run.warp;
  unsigned char(*values)[weft_sim::exchange_bytes] = warp.values[warp.turn];
  std::memcpy(values[run.index % 32], value, bytes);
  meet(run, what, place, false);
  return values[0];
}

const unsigned char* exchange(Thread* thread, const char* what, const void* value, unsigned bytes,
                              const Place* place) {
  ThreadRun& run = run_of(thread);
  step(run, place);
  return lay_down(run, what, value, bytes, place);
}

float widen_bf16(unsigned bits) {
  const uint32_t wide = bits << 16;
  float value;
  std::memcpy(&value, &wide, sizeof(value));
  return value;
}

// The fragments of one lane, widened.
struct Fragments {
  float a[8], b[4];
};
static_assert(sizeof(Fragments) <= weft_sim::exchange_bytes);

void mma_16816(Thread* thread, float* d, const unsigned* a, const unsigned* b, const Place* place) {
  ThreadRun& run = run_of(thread);
  step(run, place);
  Fragments own;
  for (int i = 0; i < 8; ++i) own.a[i] = widen_bf16(i % 2 == 0 ? a[i / 2] & 0xffffu : a[i / 2] >> 16);
  for (int i = 0; i < 4; ++i) own.b[i] = widen_bf16(i % 2 == 0 ? b[i / 2] & 0xffffu : b[i / 2] >> 16);
  const unsigned char* all = lay_down(run, "mma_16816", &own, sizeof(own), place);
  const auto of_lane = [&](int lane) {
    return reinterpret_cast<const Fragments*>(all + static_cast<size_t>(lane) * weft_sim::exchange_bytes);
  };
  const int lane = run.index % 32, g = lane / 4, t = lane % 4;
  // Products of bf16 are exact in f32 and sums are kept in f64: hardware rounds no better, in an order of its own.
  double sums[4] = {d[0], d[1], d[2], d[3]};
  for (int k = 0; k < 16; ++k) {
    // Column k of a and row k of b lie with lane k % 8 / 2 of each group of four.
    const int from = k % 8 / 2, upper = k / 8, half = k % 2;
    const Fragments* rows = of_lane(g * 4 + from);
    const float low = rows->a[upper * 4 + half], high = rows->a[upper * 4 + 2 + half];
    for (int j = 0; j < 2; ++j) {
      const float column = of_lane((2 * t + j) * 4 + from)->b[upper * 2 + half];
      sums[j] += static_cast<double>(low * column);
      sums[2 + j] += static_cast<double>(high * column);
    }
  }
  for (int i = 0; i < 4; ++i) d[i] = static_cast<float>(sums[i]);
}

void sync_block(Thread* thread, const Place* place) {
  ThreadRun& run = run_of(thread);
  step(run, place);
  BlockRun& block = *run.run;
  if (block.arrived == 0) {
    block.barrier_place = place;
    block.barrier_first = run.index;
  } else if (block.barrier_place != place) {
    describe_divergence(run, "sync_block", place, "sync_block", block.barrier_place, block.barrier_first,
                        "threads of the block");
    abandon(run);
  }
  if (++block.arrived < block.count) {
    wait(run, ThreadState::at_barrier, "sync_block", place);
    return;
  }
  block.arrived = 0;
  block.barrier_time = block.launch->tick(block);
  if (block.fenced) {
    auto times = std::make_shared<FenceTimes>();
    for (int i = 0; i < block.count; ++i) times->push_back(block.threads[static_cast<size_t>(i)]->fence.time);
    block.fences_at_barrier = std::move(times);
    block.fenced = false;
  }
  for (int i = 0; i < block.count; ++i) {
    ThreadRun& other = *block.threads[static_cast<size_t>(i)];
    if (block.waited_for_inputs) other.inputs_ready = true;
    if (i != run.index) wake(other);
  }
  yield_sometimes(run);
}

}  // namespace

void add_collectives(weft_sim::Table& table) {
  table.sync_block = sync_block;
  table.sync_warp = sync_warp;
  table.exchange = exchange;
  table.mma_16816 = mma_16816;
}

}  // namespace weft::cuda::sim
