/** Sizes in arenas. */

/** Offsets are multiples of this: a cache line pair, and what CUDA's allocator gives. */
export const arenaAlignment = 256;

export function alignment(bytes: number): number {
  return Math.ceil(bytes / arenaAlignment) * arenaAlignment;
}

/** The most bytes alive in any one of `steps` steps. */
export function largestSum(
  blocks: readonly { bytes: number; first: number; last: number }[],
  steps: number,
): number {
  const change = new Float64Array(steps + 1);
  for (const block of blocks) {
    change[block.first]! += block.bytes;
    change[block.last + 1]! -= block.bytes;
  }
  let alive = 0;
  let most = 0;
  for (const one of change) {
    alive += one;
    most = Math.max(most, alive);
  }
  return most;
}
