/**
 * Moments in NVFP4. Each row has an f32 scale of its own, because moments change by orders of magnitude and a row is all
 * that a kernel sees at once. What would become zero is rounded upward, but in a row of zeros.
 */
import type { Axis, GraphBuilder, NodeId } from "@weft/dsl";
import type { Moment, RandomBits } from "./moments.ts";
import { optimizerStates, readState } from "./states.ts";
import { encodeScaleOf } from "./write-blocks.ts";

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
