// The largest elements of a row, in order. A list of 32 lies in a warp, one in each lane, the best in lane 0.
#pragma once

// An element as a number that is larger the earlier the element comes: by value, then by the lower index. 0 and -0 are
// equal, NaN comes before everything. 0 is no element.
DEVICE u64 rank_of(float value, i32 index) {
  const u32 bits = value != value ? 0x7fffffffu : value == 0.0f ? 0u : bits_of(value);
  const u32 ordered = (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
  return static_cast<u64>(ordered) << 32 | ~static_cast<u32>(index);
}
DEVICE i32 index_of_rank(u64 rank) { return static_cast<i32>(~static_cast<u32>(rank)); }

// Exchanges with the lane `stride` away, so that the first (or the second) of the two has the larger one.
DEVICE u64 ordered_pair(u64 own, i32 stride, bool larger_first) {
  const u64 other = shuffle_xor(own, stride);
  const bool takes_larger = ((lane_index() & stride) == 0) == larger_first;
  return (own > other) == takes_larger ? own : other;
}

// A bitonic sort over the warp.
DEVICE u64 sort_lanes(u64 own) {
#pragma unroll
  for (i32 size = 2; size <= 32; size *= 2) {
#pragma unroll
    for (i32 stride = size / 2; stride > 0; stride /= 2) own = ordered_pair(own, stride, (lane_index() & size) == 0);
  }
  return own;
}

// The best 32 of two lists.
DEVICE u64 merge_lanes(u64 own, u64 other) {
  const u64 reversed = shuffle(other, 31 - lane_index());
  own = own > reversed ? own : reversed;
#pragma unroll
  for (i32 stride = 16; stride > 0; stride /= 2) own = ordered_pair(own, stride, true);
  return own;
}

// The lists of all warps of the block, in warp 0.
template <i32 warps>
DEVICE u64 merge_warps(u64 own, Shared<u64> lists) {
  store(lists, thread_index(), own);
  sync_block();
  if (warp_index() == 0) {
    for (i32 warp = 1; warp < warps; ++warp) own = merge_lanes(own, load(lists, 32 * warp + lane_index()));
  }
  return own;
}

// Part `part` of a row of `length` elements `stride` apart from `at` on; the last of `parts` blocks to end writes the
// `count` best as pairs of value and index. `row` counts rows, for scratch and tickets.
template <i32 count, i32 parts, i32 warps, typename T>
DEVICE void select_top(Global<T> x, i64 at, i64 stride, i32 length, Global<float> out, i64 out_at, i32 part,
                       Global<u64> scratch, Global<u32> tickets, i64 row) {
  const Shared<u64> lists = shared_at<u64>(0, 32 * warps);
  const Shared<u32> flag = shared_at<u32>(8 * 32 * warps, 1);
  const Range of_block = share_of(length, part, parts);
  const Range of_warp = share_of(of_block.last - of_block.first, warp_index(), warps);
  u64 best = 0;
  for (i32 base = of_warp.first; base < of_warp.last; base += 32) {
    const i32 index = of_block.first + base + lane_index();
    const bool valid = base + lane_index() < of_warp.last;
    const u64 next = sort_lanes(valid ? rank_of(widen(load(x, at + index * stride)), index) : 0);
    best = merge_lanes(best, next);
  }
  best = merge_warps<warps>(best, lists);
  if constexpr (parts > 1) {
    const i64 own = (row * parts + part) * 32;
    if (warp_index() == 0) store(scratch, own + lane_index(), best);
    if (!arrive_last(tickets, row, 1u, static_cast<u32>(parts), flag)) return;
    best = 0;
    for (i32 other = warp_index(); other < parts; other += warps)
      best = merge_lanes(best, load_fresh(scratch, (row * parts + other) * 32 + lane_index()));
    best = merge_warps<warps>(best, lists);
  }
  if (warp_index() != 0 || lane_index() >= count) return;
  const i32 index = index_of_rank(best);
  store(out, out_at + 2 * lane_index(), widen(load(x, at + index * stride)));
  store(out, out_at + 2 * lane_index() + 1, static_cast<float>(index));
}
