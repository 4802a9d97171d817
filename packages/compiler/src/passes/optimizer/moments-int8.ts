/**
 * Moments in int8: codes from -127 to 127, and an f32 scale for each block of at most 256 elements of a row (as Dettmers et
 * al. 2022, "8-bit Optimizers via Block-wise Quantization", have blocks; codes are linear here). The parameter comes with
 * its last axis in two, so that a block is the row that the kernel goes through.
 *
 * The smallest code of a root is 1: what is less than that part of its block's largest root is divided by too much, never
 * by too little. An update that is left out leaves codes and scales as they were, because codes are whole numbers.
 */
import type { Axis, GraphBuilder, NodeId } from "@weft/dsl";
import type { Moment, RandomBits } from "./moments.ts";
import { optimizerStates, readState } from "./states.ts";

const mostInBlock = 256;
const multiple = 16;
const largestCode = 127;
const largestF32 = (2 - 2 ** -23) * 2 ** 127;
/** From here to twice as much, bf16 has the whole numbers. */
const wholeInBf16 = 128;

/** Elements of a row that share a scale: of the divisors of its length the largest that is a multiple of 16 and fits. */
export function int8BlockOf(rowLength: number): number {
  for (let size = mostInBlock; size > 0; size -= multiple) if (rowLength % size === 0) return size;
  throw new Error(`a row of ${rowLength} has no whole blocks`);
}

/** Rounded to the nearest code. @param axes the last one is a block's */
export function firstMomentInInt8(builder: GraphBuilder, parameter: string, axes: readonly Axis[]): Moment {
  const name = optimizerStates.firstMoment(parameter);
  const scaleName = optimizerStates.firstScale(parameter);
  return inInt8(builder, { name, scaleName, axes, codeOf: (scaled) => scaled, rounded: (chosen) => chosen });
}

/** The root, rounded by chance. @param axes the last one is a block's */
export function secondMomentInInt8(
  builder: GraphBuilder,
  parameter: string,
  axes: readonly Axis[],
  randomOf: (state: string) => RandomBits,
): Moment {
  const add = builder.add.bind(builder);
  const name = optimizerStates.secondRoot(parameter);
  const scaleName = optimizerStates.secondScale(parameter);
  const whole = builder.constant(wholeInBf16);
  const root = inInt8(builder, {
    name,
    scaleName,
    axes,
    codeOf: (scaled) => add("max", [scaled, builder.constant(1)], {}),
    rounded: (chosen) => {
      const bf16 = add("stochasticRound", [add("add", [chosen, whole], {}), ...randomOf(name)], {});
      return add("sub", [add("cast", [bf16], { dtype: "f32" }), whole], {});
    },
  });
  return {
    old: add("mul", [root.old, root.old], {}),
    become: (value) => root.become(add("sqrt", [value], {})),
  };
}

interface Blocks {
  readonly name: string;
  readonly scaleName: string;
  readonly axes: readonly Axis[];
  /** What a value over its block's scale is kept as, before it is rounded. */
  readonly codeOf: (scaled: NodeId) => NodeId;
  /** The code, new or old, as a whole number, or as what the cast rounds to the nearest one. */
  readonly rounded: (chosen: NodeId) => NodeId;
}

function inInt8(builder: GraphBuilder, { name, scaleName, axes, codeOf, rounded }: Blocks): Moment {
  const add = builder.add.bind(builder);
  const codes = add("cast", [readState(builder, name, { dtype: "i8", axes })], { dtype: "f32" });
  const scale = readState(builder, scaleName, { dtype: "f32", axes: axes.slice(0, -1) });
  return {
    old: add("mul", [codes, scale], {}),
    become: (value) => {
      const largest = add("reduceMax", [add("abs", [value], {})], { axis: axes.at(-1)!.name });
      const newScale = add("mul", [largest, builder.constant(1 / largestCode)], {});
      const isZero = add("equal", [largest, builder.constant(0)], {});
      const quotient = add("div", [builder.constant(largestCode), largest], {});
      const bounded = add("min", [quotient, builder.constant(largestF32)], {});
      const inverse = add("select", [isZero, builder.constant(1), bounded], {});
      return [
        { name: scaleName, old: scale, value: newScale },
        {
          name,
          old: codes,
          value: codeOf(add("mul", [value, inverse], {})),
          stored: (chosen) => add("cast", [rounded(chosen)], { dtype: "i8" }),
        },
      ];
    },
  };
}
