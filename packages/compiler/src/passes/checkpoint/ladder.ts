/** Every way to divide the blocks between two neighbouring recomputations, from much memory to much work. */
import type { CheckpointOptions } from "./checkpoint.ts";
import { type Recomputation, recomputations } from "./keep.ts";

/** The first `dearBlocks` blocks compute more again than the rest: what they keep lives longest. */
export interface RecomputationRung {
  readonly cheap: Recomputation;
  readonly dear: Recomputation;
  readonly dearBlocks: number;
  readonly blocks: number;
}

/** How many rungs there are from `from` on. */
export function rungCount(blocks: number, from: Recomputation): number {
  return (recomputations.length - 1 - recomputations.indexOf(from)) * blocks + 1;
}

/** Rung 0: `from` everywhere. The last one: `everything` everywhere. */
export function rungAt(rung: number, blocks: number, from: Recomputation): RecomputationRung {
  const first = recomputations.indexOf(from);
  const step = Math.min(Math.floor(rung / blocks), recomputations.length - 2 - first);
  const cheap = recomputations[first + step]!;
  const dear = recomputations[first + step + 1] ?? cheap;
  return { cheap, dear, dearBlocks: rung - step * blocks, blocks };
}

export function recomputeBy({ cheap, dear, dearBlocks }: RecomputationRung): CheckpointOptions["recompute"] {
  return (index) => (index < dearBlocks ? dear : cheap);
}

/** As `8 of 28 blocks compute products again, the others rows`. */
export function describeRung({ cheap, dear, dearBlocks, blocks }: RecomputationRung): string {
  if (dearBlocks === 0) return `all ${blocks} blocks compute ${cheap} again`;
  if (dearBlocks === blocks) return `all ${blocks} blocks compute ${dear} again`;
  return `${dearBlocks} of ${blocks} blocks compute ${dear} again, the others ${cheap}`;
}
