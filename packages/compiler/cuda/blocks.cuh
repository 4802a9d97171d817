// Work shared out over the blocks of a launch, and the block that ends last.
#pragma once

struct Range {
  i32 first;
  i32 last;
};

DEVICE i32 clamped(i32 value, i32 most) { return value < 0 ? 0 : value > most ? most : value; }

// Part `part` of `parts` of the numbers below `total`, no two parts differing by more than one. 32 bits: a division of
// 64 bits is a subroutine.
DEVICE Range share_of(i32 total, i32 part, i32 parts) {
  const u32 size = static_cast<u32>(total) / static_cast<u32>(parts);
  const i32 larger = total - static_cast<i32>(size) * parts;
  const i32 first = part * static_cast<i32>(size) + clamped(part, larger);
  return {first, first + static_cast<i32>(size) + (part < larger ? 1 : 0)};
}

// The items that begin in a share, of `count` items of `size` each that begin at `base`.
DEVICE Range items_in(Range share, i32 base, i32 size, i32 count) {
  return {clamped((share.first - base + size - 1) / size, count), clamped((share.last - base + size - 1) / size, count)};
}

// Says that this block has done `count` of the `total` parts of a piece of work whose results it left in scratch.
// True, for all threads of the block, in the block that did the last of them: it may read all the results.
DEVICE bool arrive_last(Global<u32> tickets, i64 ticket, u32 count, u32 total, Shared<u32> flag) {
  fence_device();
  sync_block();
  if (thread_index() == 0) {
    const bool is_last = atomic_add(tickets, ticket, count) + count == total;
    // Ready for the next launch.
    if (is_last) store(tickets, ticket, 0u);
    store(flag, 0, is_last ? 1u : 0u);
  }
  sync_block();
  const bool is_last = load(flag, 0) != 0;
  if (is_last) fence_device();
  return is_last;
}
