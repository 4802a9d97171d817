/** Ops that take an axis away: a row becomes one value. */
import { forEachIndex, stridesOf, type TensorArray } from "../graph/tensor-array.ts";
import type { OpDefinition } from "./define.ts";
import { findAxis, isFloat, missingAxis, withoutAxes } from "./shape.ts";

function reduceArray(
  x: TensorArray,
  axis: string,
  initial: number,
  combine: (a: number, b: number) => number,
): TensorArray {
  const axes = x.axes.filter((one) => one.name !== axis);
  const count = axes.reduce((product, one) => product * one.size, 1);
  const data = new Float64Array(count).fill(initial);
  forEachIndex(x.axes, [stridesOf(x.axes), stridesOf(axes)], ([from, to]) => {
    data[to!] = combine(data[to!]!, x.data[from!]!);
  });
  return { dtype: x.dtype, axes, data };
}

function reduction<K extends "reduceSum" | "reduceMax">(
  name: K,
  summary: string,
  initial: number,
  combine: (a: number, b: number) => number,
): OpDefinition<K> {
  return {
    name,
    category: "reduction",
    documentation: { summary, inputs: ["x: float[..., axis, ...]"], result: "x without the axis" },
    arity: { min: 1, max: 1 },
    infer: ([x], { axis }) => {
      if (!isFloat(x!.dtype)) return "takes a float tensor";
      return findAxis(x!, axis) === undefined
        ? missingAxis(x!, axis)
        : { dtype: x!.dtype, axes: withoutAxes(x!, [axis]) };
    },
    meaning: { tag: "reference", reference: ([x], { axis }) => reduceArray(x!, axis, initial, combine) },
    cost: { perResult: 0, perInput: 1 },
    fusion: "reduce",
  } as OpDefinition<K>;
}

export const reductionOps = {
  reduceSum: reduction("reduceSum", "sum along an axis, accumulated in f32", 0, (a, b) => a + b),
  reduceMax: reduction("reduceMax", "maximum along an axis", Number.NEGATIVE_INFINITY, Math.max),
};
