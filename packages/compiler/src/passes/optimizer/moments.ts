/**
 * How a moment is kept between two updates. Steps are computed from fresh moments; what is kept is rounded behind them.
 *
 * In NVFP4 each row has an f32 scale of its own, because moments change by orders of magnitude and a row is all that a
 * kernel sees at once. The first moment is rounded to the nearest code. Of the second one the root is kept, which needs
 * half the range; it is rounded by chance, so that growth by less than a code counts on average, upward where it would
 * become zero, because steps are divided by it.
 */
import type { Axis, GraphBuilder, NodeId } from "@weft/dsl";
import { optimizerStates, readState } from "./states.ts";
import { encodeScaleOf } from "./write-blocks.ts";

export const momentFormats = ["f32", "nvfp4"] as const;
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

/** Rounded to the nearest code. */
export function firstMomentInBlocks(builder: GraphBuilder, parameter: string, axes: readonly Axis[]): Moment {
  const name = optimizerStates.firstMoment(parameter);
  const scaleName = optimizerStates.firstScale(parameter);
  const { old, become } = inBlocks(builder, { name, scaleName, axes, nonZero: false, random: [] });
  return { old, become };
}

/** The root, rounded by chance, never to zero but in a row of zeros. */
export function secondMomentInBlocks(
  builder: GraphBuilder,
  parameter: string,
  axes: readonly Axis[],
  randomOf: (state: string) => RandomBits,
): Moment {
  const name = optimizerStates.secondRoot(parameter);
  const scaleName = optimizerStates.secondScale(parameter);
  const random = randomOf(name);
  const root = inBlocks(builder, { name, scaleName, axes, nonZero: true, random });
  return {
    old: builder.add("mul", [root.old, root.old], {}),
    become: (value) => root.become(builder.add("sqrt", [value], {})),
  };
}

interface Blocks {
  readonly name: string;
  readonly scaleName: string;
  readonly axes: readonly Axis[];
  readonly nonZero: boolean;
  readonly random: readonly NodeId[];
}

function inBlocks(builder: GraphBuilder, { name, scaleName, axes, nonZero, random }: Blocks): Moment {
  const add = builder.add.bind(builder);
  const codes = add("cast", [readState(builder, name, { dtype: "nvfp4", axes })], { dtype: "f32" });
  const scale = readState(builder, scaleName, { dtype: "f32", axes: axes.slice(0, -1) });
  const one = builder.constant(1);
  return {
    old: add("mul", [codes, scale], {}),
    become: (value) => {
      const largest = add("reduceMax", [add("abs", [value], {})], { axis: axes.at(-1)!.name });
      const encodeScale = encodeScaleOf(builder, largest);
      return [
        { name: scaleName, old: scale, value: add("reciprocal", [encodeScale], {}) },
        {
          name,
          old: codes,
          value: add("mul", [value, encodeScale], {}),
          stored: (chosen) => add("quantizeNvfp4", [chosen, one, ...random], { fourOverSix: false, nonZero }),
        },
      ];
    },
  };
}
