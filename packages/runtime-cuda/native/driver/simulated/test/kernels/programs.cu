// Correct programs, which must pass under every seed.
#include "device.cuh"

#include "numbers.cuh"

// slots: a, b, sum. symbols[0]: elements.
DEVICE i64 vector_add_blocks(const Args<3>& args) { return (load(global<i32>(args.symbols), 0) + 127) / 128; }
DEVICE void vector_add_body(const Args<3>& args, i64 block) {
  const auto a = global<float>(args.slot[0]);
  const auto b = global<float>(args.slot[1]);
  const auto sum = global<float>(args.slot[2]);
  const i64 i = block * 128 + thread_index();
  if (i < load(global<i32>(args.symbols), 0)) store(sum, i, load(a, i) + load(b, i));
}
WEFT_KERNEL(vector_add, 128, 1, 3)

DEVICE float warp_sum(float value) {
  for (i32 mask = 16; mask > 0; mask /= 2) value += shuffle_xor(value, mask);
  return value;
}
// For all threads of a block of up to 32 warps; `partials` holds a float per warp.
DEVICE float block_sum(float value, Shared<float> partials) {
  value = warp_sum(value);
  if (lane_index() == 0) store(partials, warp_index(), value);
  sync_block();
  const i32 warps = thread_count() / 32;
  return warp_sum(lane_index() < warps ? load(partials, lane_index()) : 0.0f);
}

// slots: x of rows of 512, sums. A row per virtual block.
DEVICE i64 row_sum_blocks(const Args<2>& args) { return load(global<i32>(args.symbols), 0); }
DEVICE void row_sum_body(const Args<2>& args, i64 block) {
  const auto x = global<float>(args.slot[0]);
  const auto sums = global<float>(args.slot[1]);
  const auto partials = shared_at<float>(0, 32);
  float value = 0;
  for (i32 i = thread_index() * 4; i < 512; i += thread_count() * 4) {
    const Bytes16 four = load16(x, block * 512 + i);
    for (i32 j = 0; j < 4; ++j) value += float_of(four.word[j]);
  }
  value = block_sum(value, partials);
  if (thread_index() == 0) store(sums, block, value);
}
WEFT_KERNEL(row_sum, 128, 1, 2)

// slots: x of 64 by 64, its transpose. A 32 by 32 tile per block, 256 threads.
DEVICE i64 transpose_blocks(const Args<2>&) { return 4; }
DEVICE void transpose_body(const Args<2>& args, i64 block) {
  const auto x = global<float>(args.slot[0]);
  const auto y = global<float>(args.slot[1]);
  const auto tile = shared_at<float>(0, 32 * 33);
  const i32 row = static_cast<i32>(block / 2) * 32, column = static_cast<i32>(block % 2) * 32;
  for (i32 i = warp_index(); i < 32; i += thread_count() / 32)
    store(tile, i * 33 + lane_index(), load(x, (row + i) * 64 + column + lane_index()));
  sync_block();
  for (i32 i = warp_index(); i < 32; i += thread_count() / 32)
    store(y, (column + i) * 64 + row + lane_index(), load(tile, lane_index() * 33 + i));
}
WEFT_KERNEL(transpose, 256, 1, 2)

// slots: a (m by k), b (n by k), c (m by n, f32). symbols: m, n, k; n a multiple of 32, k of 32, m anything.
// 32 by 32 of c per block of 4 warps, 16 by 16 per warp; k in steps of 32, two buffers filled in turn.
constexpr i32 tile_rows = 32, tile_depth = 32, padded = tile_depth + 8;
DEVICE i64 matmul_blocks(const Args<3>& args) {
  const auto symbols = global<i32>(args.symbols);
  return static_cast<i64>((load(symbols, 0) + tile_rows - 1) / tile_rows) * (load(symbols, 1) / tile_rows);
}
DEVICE void fetch(Shared<bf16> to, Global<bf16> from, i32 first, i32 rows, i32 depth, i32 start) {
  const i32 row = thread_index() / 4, column = thread_index() % 4 * 8;
  const i32 index = (first + row) * depth + start + column;
  copy16_async(to, row * padded + column, from, index, first + row < rows);
}
DEVICE void matmul_body(const Args<3>& args, i64 block) {
  const auto symbols = global<i32>(args.symbols);
  const i32 m = load(symbols, 0), n = load(symbols, 1), k = load(symbols, 2);
  const auto a = global<bf16>(args.slot[0]);
  const auto b = global<bf16>(args.slot[1]);
  const auto c = global<float>(args.slot[2]);
  const i32 row = static_cast<i32>(block / (n / tile_rows)) * tile_rows;
  const i32 column = static_cast<i32>(block % (n / tile_rows)) * tile_rows;
  const i32 stage = tile_rows * padded;
  const auto rows = shared_at<bf16>(0, 2 * stage);
  const auto columns = shared_at<bf16>(2 * stage * 2, 2 * stage);
  const auto part = [&](Shared<bf16>, i32 base, i32 index) { return shared_at<bf16>(base + index * stage * 2, stage); };
  float d[2][4] = {};
  fetch(part(rows, 0, 0), a, row, m, k, 0);
  fetch(part(columns, stage * 4, 0), b, column, n, k, 0);
  commit_copies();
  const i32 lane = lane_index(), warp_row = warp_index() / 2 * 16, warp_column = warp_index() % 2 * 16;
  for (i32 step = 0; step < k / tile_depth; ++step) {
    if (step + 1 < k / tile_depth) {
      fetch(part(rows, 0, (step + 1) % 2), a, row, m, k, (step + 1) * tile_depth);
      fetch(part(columns, stage * 4, (step + 1) % 2), b, column, n, k, (step + 1) * tile_depth);
    }
    commit_copies();
    wait_copies<1>();
    sync_block();
    for (i32 inner = 0; inner < tile_depth; inner += 16) {
      u32 fragment[4], other[4];
      const i32 at = (warp_row + lane % 16) * padded + inner + lane / 16 * 8;
      load_matrix4(fragment, part(rows, 0, step % 2), at);
      const i32 other_at = (warp_column + lane % 8 + lane / 16 * 8) * padded + inner + lane / 8 % 2 * 8;
      load_matrix4(other, part(columns, stage * 4, step % 2), other_at);
      mma_16816(d[0], fragment, {other[0], other[1]});
      mma_16816(d[1], fragment, {other[2], other[3]});
    }
    sync_block();
  }
  for (i32 j = 0; j < 2; ++j)
    for (i32 i = 0; i < 4; ++i) {
      const i32 to = row + warp_row + lane / 4 + i / 2 * 8;
      if (to < m) store(c, to * n + column + warp_column + j * 8 + lane % 4 * 2 + i % 2, d[j][i]);
    }
}
WEFT_KERNEL(matmul, 128, 1, 3)

// slots: x of blocks * 128, sum. Every block leaves a partial sum in scratch; the last one adds them in order.
DEVICE i64 last_block_sum_blocks(const Args<2>& args) { return load(global<i32>(args.symbols), 0); }
DEVICE void last_block_sum_body(const Args<2>& args, i64 block) {
  const i64 blocks = last_block_sum_blocks(args);
  const auto partials = global<float>(args.scratch);
  const auto tickets = global<u32>(args.tickets);
  const auto is_last = shared_at<i32>(128, 1);
  const float value = block_sum(load(global<float>(args.slot[0]), block * 128 + thread_index()), shared_at<float>(0, 32));
  if (thread_index() == 0) {
    store(partials, block, value);
    fence_device();
    store(is_last, 0, atomic_add(tickets, 0, 1) == blocks - 1 ? 1 : 0);
  }
  sync_block();
  if (load(is_last, 0) == 0) return;
  if (thread_index() == 0) {
    float sum = 0;
    for (i64 i = 0; i < blocks; ++i) sum += load_fresh(partials, i);
    store(global<float>(args.slot[1]), 0, sum);
    store(tickets, 0, 0u);
  }
}
WEFT_KERNEL(last_block_sum, 128, 1, 2)

// slots: x, y. Every block leaves a value, waits for all others, and adds up what they left.
DEVICE i64 grid_barrier_blocks(const Args<2>& args) { return args.blocks; }
DEVICE void grid_barrier_body(const Args<2>& args, i64 block) {
  const auto partials = global<float>(args.scratch);
  const auto tickets = global<u32>(args.tickets);
  if (thread_index() == 5) store(partials, block, load(global<float>(args.slot[0]), block));
  sync_block();
  if (thread_index() == 0) {
    fence_device();
    u32 arrived = atomic_add(tickets, 1, 1) + 1;
    while (arrived < args.blocks) arrived = atomic_add(tickets, 1, 0);
  }
  sync_block();
  if (thread_index() != 40) return;
  float sum = 0;
  for (i64 i = 0; i < args.blocks; ++i) sum += load_fresh(partials, i);
  store(global<float>(args.slot[1]), block, sum);
}
WEFT_KERNEL(grid_barrier, 64, 1, 2)
