/** Ops that take an axis away: a row becomes one value. */
import type { Axis } from "../axis.ts";
import { elementCount, forEachIndex, stridesOf, type TensorArray } from "../graph/tensor-array.ts";
import type { OpDefinition } from "./define.ts";
import { duplicateAxis, findAxis, isFloat, missingAxis, withoutAxes } from "./shape.ts";
import { passOn, reduceMaxVjp, topKVjp } from "./vjp/tensor.ts";

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
    // Of a sum each element gets the whole cotangent.
    vjp: name === "reduceSum" ? passOn : reduceMaxVjp,
    cost: { perResult: 0, perInput: 1 },
    fusion: "reduce",
  } as OpDefinition<K>;
}

/** The most that `topK` keeps: one for each lane of a GPU's warp. */
export const mostTopK = 32;
/** The second axis of what `topK` gives: element 0 is the value, element 1 its index, exact in f32 up to 2^24. */
export const valueAndIndex: Axis<"valueAndIndex"> = { name: "valueAndIndex", size: 2 };
const mostIndices = 2 ** 24;

const topK: OpDefinition<"topK"> = {
  name: "topK",
  category: "reduction",
  documentation: {
    summary: "the largest elements along an axis with their indices, the largest first",
    inputs: ["x: float[..., axis, ...]"],
    result:
      "f32: x without the axis, then `into`, then valueAndIndex; of equal elements the one of the lower index comes first, NaN before all others",
  },
  arity: { min: 1, max: 1 },
  infer: ([x], { axis, into, count }) => {
    if (!isFloat(x!.dtype)) return "takes a float tensor";
    const along = findAxis(x!, axis);
    if (along === undefined) return missingAxis(x!, axis);
    if (count < 1 || count > mostTopK) return `keeps 1 to ${mostTopK} elements`;
    if (typeof along.size !== "number" || along.size > mostIndices)
      return `axis "${axis}" must have a constant size of at most 2^24`;
    if (along.size < count) return `axis "${axis}" must have at least the ${count} elements that are kept`;
    const axes = [...withoutAxes(x!, [axis]), { name: into, size: count }, valueAndIndex];
    const twice = duplicateAxis(axes);
    return twice === undefined ? { dtype: "f32", axes } : `axis "${twice}" must not be there already`;
  },
  meaning: {
    tag: "reference",
    reference: ([x], { axis, into, count }) => {
      const outer = x!.axes.filter((one) => one.name !== axis);
      const size = x!.axes.find((one) => one.name === axis)!.size;
      const strides = stridesOf(x!.axes);
      const step = strides.get(axis)!;
      const data = new Float64Array(elementCount(outer) * count * 2);
      const place = (value: number) => (Number.isNaN(value) ? Number.POSITIVE_INFINITY : value);
      forEachIndex(outer, [strides], ([from], row) => {
        const at = (index: number) => x!.data[from! + index * step]!;
        const order = Array.from({ length: size }, (_, index) => index).sort(
          (a, b) =>
            Number(Number.isNaN(at(b))) - Number(Number.isNaN(at(a))) || place(at(b)) - place(at(a)) || a - b,
        );
        for (let rank = 0; rank < count; rank++) {
          data[(row * count + rank) * 2] = at(order[rank]!);
          data[(row * count + rank) * 2 + 1] = order[rank]!;
        }
      });
      return {
        dtype: "f32",
        axes: [...outer, { name: into, size: count }, { name: "valueAndIndex", size: 2 }],
        data,
      };
    },
  },
  vjp: topKVjp,
  cost: { perResult: 0, perInput: 1 },
  fusion: "template",
};

export const reductionOps = {
  topK,
  reduceSum: reduction("reduceSum", "sum along an axis, accumulated in f32", 0, (a, b) => a + b),
  reduceMax: reduction("reduceMax", "maximum along an axis", Number.NEGATIVE_INFINITY, Math.max),
};
