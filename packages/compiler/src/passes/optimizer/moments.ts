/**
 * How a moment is kept between two updates. Steps are computed from fresh moments; what is kept is rounded behind them.
 * The first moment is rounded to the nearest code. Of the second one the root is kept, which needs half the range; it is
 * rounded by chance, so that growth by less than a code counts on average, and never to zero, because steps are divided
 * by it.
 *
 * In NVFP4 (`moments-nvfp4.ts`) each row has an f32 scale, in int8 (`moments-int8.ts`) each block of a row: an integer has
 * no scale of its own within a block.
 */
import type { Axis, GraphBuilder, NodeId } from "@weft/dsl";
import { readState } from "./states.ts";

export const momentFormats = ["f32", "int8", "nvfp4"] as const;
export type MomentFormat = (typeof momentFormats)[number];

/** A state of the rule: what it was, and what it becomes. */
export interface StateUpdate {
  readonly name: string;
  readonly old: NodeId;
  readonly value: NodeId;
  /** What is written of the one or the other. Default: itself. */
  readonly stored?: (chosen: NodeId) => NodeId;
}

/** A moment under update, f32 with the parameter's axes. */
export interface Moment {
  readonly old: NodeId;
  readonly become: (value: NodeId) => readonly StateUpdate[];
}

/** keyLow, keyHigh and stream of random bits. */
export type RandomBits = readonly [NodeId, NodeId, NodeId];

/** The moment as it is, in f32. */
export function plainMoment(builder: GraphBuilder, name: string, axes: readonly Axis[]): Moment {
  const old = readState(builder, name, { dtype: "f32", axes });
  return { old, become: (value) => [{ name, old, value }] };
}
