// Programs with one mistake each. The words behind // @ name a place for the tests.
#include "device.cuh"

#include "numbers.cuh"

// Kernels of one virtual block, or as many as symbols[0] says, over float buffers `x` (read) and `y` (written).
#define PLANTED(name)                                                                                          \
  DEVICE void name##_of(Global<float> x, Global<float> y, const Args<2>& args, i64 block);                     \
  DEVICE i64 name##_blocks(const Args<2>& args) { return load(global<i32>(args.symbols), 0); }                 \
  DEVICE void name##_body(const Args<2>& args, i64 block) {                                                    \
    name##_of(global<float>(args.slot[0]), global<float>(args.slot[1]), args, block);                          \
  }                                                                                                            \
  WEFT_KERNEL(name, 64, 1, 2)                                                                                  \
  DEVICE void name##_of([[maybe_unused]] Global<float> x, [[maybe_unused]] Global<float> y,                    \
                        [[maybe_unused]] const Args<2>& args, [[maybe_unused]] i64 block)

// ---- shared memory

PLANTED(missing_barrier) {
  const auto tile = shared_at<float>(0, 64);
  store(tile, thread_index(), load(x, thread_index()));  // @ missing_barrier store
  store(y, thread_index(), load(tile, 63 - thread_index()));  // @ missing_barrier load
}
PLANTED(missing_second_barrier) {
  const auto tile = shared_at<float>(0, 64);
  for (i32 i = 0; i < 2; ++i) {
    store(tile, thread_index(), load(x, thread_index()));  // @ missing_second_barrier store
    sync_block();
    store(y, thread_index(), load(tile, 63 - thread_index()));  // @ missing_second_barrier load
  }
}
PLANTED(both_write) {
  store(shared_at<float>(0, 64), thread_index() / 2 * 2 % 32, 1.0f);  // @ both_write
}
PLANTED(missing_warp_sync) {
  const auto tile = shared_at<float>(0, 64);
  store(tile, thread_index(), 1.0f);  // @ missing_warp_sync store
  shuffle_xor(1.0f, 1);
  store(y, thread_index(), load(tile, thread_index() ^ 1));  // @ missing_warp_sync load
}
PLANTED(with_warp_sync) {
  const auto tile = shared_at<float>(0, 64);
  store(tile, thread_index(), 1.0f);
  sync_warp();
  store(y, thread_index(), load(tile, thread_index() ^ 1));
}
PLANTED(adjacent_bytes) {
  const auto tile = shared_at<u8>(0, 64);
  store(tile, thread_index(), static_cast<u8>(1));
  store(y, thread_index(), static_cast<float>(load(tile, thread_index())));
}
PLANTED(overlapping_words) {
  const auto bytes = shared_at<u8>(0, 64);
  const auto words = shared_at<u32>(0, 16);
  if (thread_index() == 5) store(bytes, 6, static_cast<u8>(1));  // @ overlapping_words byte
  if (thread_index() == 40) store(words, 1, 1u);  // @ overlapping_words word
}
PLANTED(shared_store_outside) { store(shared_at<float>(0, 64), thread_index() + 1, 1.0f); }  // @ shared_store_outside
PLANTED(shared_load_outside) { load(shared_at<float>(0, 64), thread_index() - 1); }          // @ shared_load_outside
PLANTED(arena_outside) { shared_at<float>(0, 257); }                                         // @ arena_outside
PLANTED(shared_misaligned) { load16(shared_at<float>(0, 64), 2); }                           // @ shared_misaligned
PLANTED(shared_unwritten) {
  const auto tile = shared_at<float>(0, 64);
  if (thread_index() != 7) store(tile, thread_index(), 1.0f);
  sync_block();
  store(y, thread_index(), load(tile, thread_index()));  // @ shared_unwritten
}

// ---- global memory

PLANTED(global_store_outside) { store(y, thread_index() + 1, 1.0f); }            // @ global_store_outside
PLANTED(global_load_outside) { load(x, -1 - thread_index()); }                   // @ global_load_outside
PLANTED(vector_outside) { load16(x, 64); }                                       // @ vector_outside
PLANTED(part_outside) { load(part_of(x, 60), 4); }                               // @ part_outside
PLANTED(global_misaligned) { load16_once(x, 2); }                                // @ global_misaligned
PLANTED(global_misaligned_store) { store8(y, 1, Bytes8{}); }                     // @ global_misaligned_store
PLANTED(global_unwritten) { load(y, thread_index()); }                           // @ global_unwritten
PLANTED(blocks_both_write) {
  if (thread_index() == 3) store(y, 0, static_cast<float>(block));  // @ blocks_both_write
}
PLANTED(block_writes_what_other_reads) {
  if (thread_index() == 0 && block == 0) load(x, 5);       // @ block_reads
  if (thread_index() == 9 && block == 1) store(x, 5, 1.0f);  // @ block_writes
}
PLANTED(threads_both_write) { store(y, thread_index() / 2, 1.0f); }  // @ threads_both_write
PLANTED(in_place) {
  // Right: each thread reads and writes its own.
  store(x, thread_index(), 2 * load(x, thread_index()));
}

DEVICE bool last_ticket(const Args<2>& args, i64 blocks, bool fenced) {
  const auto is_last = shared_at<i32>(0, 1);
  if (thread_index() == 0) {
    if (fenced) fence_device();
    store(is_last, 0, atomic_add(global<u32>(args.tickets), 0, 1) == blocks - 1 ? 1 : 0);
  }
  sync_block();
  return load(is_last, 0) != 0;
}
PLANTED(missing_fence) {
  if (thread_index() == 0) store(y, block, 1.0f);  // @ missing_fence store
  if (last_ticket(args, 4, false) && thread_index() == 1)
    for (i32 i = 0; i < 4; ++i) load_fresh(y, i);  // @ missing_fence load
}
PLANTED(stale_load) {
  if (thread_index() == 0) store(y, block, 1.0f);
  if (last_ticket(args, 4, true) && thread_index() == 1)
    for (i32 i = 0; i < 4; ++i) load(y, i);  // @ stale_load
}
PLANTED(missing_barrier_before_fence) {
  // Thread 0's fence says nothing of what thread 40 wrote without a barrier between.
  if (thread_index() == 40) store(y, block, 1.0f);
  if (last_ticket(args, 4, true) && thread_index() == 1)
    for (i32 i = 0; i < 4; ++i) load_fresh(y, i);  // @ missing_barrier_before_fence
}
PLANTED(all_fence) {
  // Right: every thread fences what it wrote, and a barrier puts that before the ticket.
  if (thread_index() == 40) store(y, block, 1.0f);
  fence_device();
  sync_block();
  if (last_ticket(args, 4, false) && thread_index() == 1)
    for (i32 i = 0; i < 4; ++i) load_fresh(y, i);
  sync_block();
}
PLANTED(without_waiting_for_inputs) { store(y, thread_index(), load(x, thread_index())); }  // @ without_waiting
PLANTED(waiting_for_inputs) {
  // Right: thread 0 waits for all.
  if (thread_index() == 0) wait_for_inputs();
  sync_block();
  store(y, thread_index(), load(x, thread_index()));
}

// ---- asynchronous copies

PLANTED(copy_not_waited_for) {
  const auto tile = shared_at<float>(0, 256);
  copy16_async(tile, thread_index() * 4, x, 0, true);  // @ copy_not_waited_for copy
  commit_copies();
  load(tile, thread_index() * 4);  // @ copy_not_waited_for load
}
PLANTED(copy_not_committed) {
  const auto tile = shared_at<float>(0, 256);
  copy16_async(tile, thread_index() * 4, x, 0, true);
  wait_copies<0>();
  load(tile, thread_index() * 4);  // @ copy_not_committed
}
PLANTED(wrong_group) {
  const auto tile = shared_at<float>(0, 256);
  copy16_async(tile, thread_index() * 4, x, 0, true);
  commit_copies();
  wait_copies<1>();
  load(tile, thread_index() * 4);  // @ wrong_group
}
PLANTED(copy_without_barrier) {
  const auto tile = shared_at<float>(0, 256);
  copy16_async(tile, thread_index() * 4, x, 0, true);  // @ copy_without_barrier copy
  commit_copies();
  wait_copies<0>();
  load(tile, (63 - thread_index()) * 4);  // @ copy_without_barrier load
}
PLANTED(copy_over_what_is_read) {
  const auto tile = shared_at<float>(0, 256);
  copy16_async(tile, thread_index() * 4, x, 0, true);
  commit_copies();
  wait_copies<0>();
  sync_block();
  load(tile, (63 - thread_index()) * 4);                // @ copy_over_what_is_read load
  copy16_async(tile, thread_index() * 4, x, 0, true);  // @ copy_over_what_is_read copy
}

// ---- threads that do not come

PLANTED(divergent_shuffle) {
  if (lane_index() < 16) shuffle_xor(1.0f, 1);  // @ divergent_shuffle
  else sync_warp();                             // @ divergent_sync
}
PLANTED(lane_left) {
  if (thread_index() == 35) return;
  shuffle(1.0f, 0);  // @ lane_left
}
PLANTED(barrier_of_some) {
  if (thread_index() < 32) sync_block();  // @ barrier_of_some
}
PLANTED(two_barriers) {
  if (thread_index() < 32) sync_block();  // @ two_barriers one
  else sync_block();                      // @ two_barriers other
}
PLANTED(endless) {
  while (load(x, 0) < 1e30f) sync_warp();  // @ endless
}
