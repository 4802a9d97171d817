/** Ops that compute nothing: they name, order, cut, join and repeat axes. */
import { type Axis, axisEquals, maxSize, sizeEquals } from "../axis.ts";
import {
  type ArrayAxis,
  elementCount,
  forEachIndex,
  stridesOf,
  type TensorArray,
} from "../graph/tensor-array.ts";
import type { TensorType } from "../graph/types.ts";
import type { OpDefinition } from "./define.ts";
import { duplicateAxis, findAxis, missingAxis, sizeFor } from "./shape.ts";
import {
  afterVjp,
  concatVjp,
  lastVjp,
  mergeAxesVjp,
  passOn,
  renameVjp,
  sliceVjp,
  splitAxisVjp,
} from "./vjp/tensor.ts";

function replaceAxis(axes: readonly Axis[], name: string, by: readonly Axis[]): readonly Axis[] {
  return axes.flatMap((one) => (one.name === name ? by : [one]));
}

function distinct(dtype: TensorType["dtype"], axes: readonly Axis[]): TensorType | string {
  const twice = duplicateAxis(axes);
  return twice === undefined ? { dtype, axes } : `axis "${twice}" must not stand twice in the result`;
}

const rename: OpDefinition<"rename"> = {
  name: "rename",
  category: "movement",
  documentation: {
    summary: "gives an axis another name",
    inputs: ["x: [..., from, ...]"],
    result: "x with the axis renamed",
  },
  arity: { min: 1, max: 1 },
  infer: ([x], { from, to }) => {
    const old = findAxis(x!, from);
    if (old === undefined) return missingAxis(x!, from);
    return distinct(x!.dtype, replaceAxis(x!.axes, from, [{ name: to, size: old.size }]));
  },
  meaning: {
    tag: "reference",
    reference: ([x], { from, to }) => ({
      ...x!,
      axes: x!.axes.map((one) => (one.name === from ? { name: to, size: one.size } : one)),
    }),
  },
  vjp: renameVjp,
  cost: { perResult: 0, perInput: 0 },
  fusion: "view",
};

const splitAxis: OpDefinition<"splitAxis"> = {
  name: "splitAxis",
  category: "movement",
  documentation: {
    summary: "cuts an axis into several, the first one slowest",
    inputs: ["x: [..., axis, ...]"],
    result: "x with the axis replaced by the new axes, whose sizes multiply to its size",
  },
  arity: { min: 1, max: 1 },
  infer: ([x], { axis, into }) => {
    const old = findAxis(x!, axis);
    if (old === undefined) return missingAxis(x!, axis);
    const product = into.reduce((count, one) => count * maxSize(one.size), 1);
    if (typeof old.size !== "number" || into.some((one) => typeof one.size !== "number")) {
      return "an axis of symbolic size cannot be split";
    }
    if (product !== old.size) return `the parts of "${axis}" must multiply to ${old.size}, not ${product}`;
    return distinct(x!.dtype, replaceAxis(x!.axes, axis, into));
  },
  meaning: {
    tag: "reference",
    reference: ([x], { axis, into }) => ({
      ...x!,
      axes: x!.axes.flatMap((one) =>
        one.name === axis
          ? into.map((part): ArrayAxis => ({ name: part.name, size: part.size as number }))
          : [one],
      ),
    }),
  },
  vjp: splitAxisVjp,
  cost: { perResult: 0, perInput: 0 },
  fusion: "view",
};

const mergeAxes: OpDefinition<"mergeAxes"> = {
  name: "mergeAxes",
  category: "movement",
  documentation: {
    summary: "joins neighbouring axes into one, the first one slowest",
    inputs: ["x: [..., axes, ...]"],
    result: "x with the axes replaced by one whose size is their product",
  },
  arity: { min: 1, max: 1 },
  infer: ([x], { axes, into }) => {
    const start = x!.axes.findIndex((one) => one.name === axes[0]);
    const found = x!.axes.slice(start, start + axes.length);
    if (start < 0 || found.length !== axes.length || found.some((one, i) => one.name !== axes[i])) {
      return `needs the neighbouring axes [${axes.join(", ")}]`;
    }
    if (found.some((one) => typeof one.size !== "number")) return "an axis of symbolic size cannot be merged";
    const size = found.reduce((count, one) => count * (one.size as number), 1);
    const merged = [...x!.axes.slice(0, start), { name: into, size }, ...x!.axes.slice(start + axes.length)];
    return distinct(x!.dtype, merged);
  },
  meaning: {
    tag: "reference",
    reference: ([x], { axes, into }) => {
      const start = x!.axes.findIndex((one) => one.name === axes[0]);
      const size = elementCount(x!.axes.slice(start, start + axes.length));
      return {
        ...x!,
        axes: [...x!.axes.slice(0, start), { name: into, size }, ...x!.axes.slice(start + axes.length)],
      };
    },
  },
  vjp: mergeAxesVjp,
  cost: { perResult: 0, perInput: 0 },
  fusion: "view",
};

/** Copies the part of `x` that begins at `start` along `axis`. */
function sliceArray(x: TensorArray, axis: string, start: number, size: number): TensorArray {
  const axes = x.axes.map((one) => (one.name === axis ? { name: axis, size } : one));
  const strides = stridesOf(x.axes);
  const base = start * strides.get(axis)!;
  const data = new Float64Array(elementCount(axes));
  forEachIndex(axes, [strides], ([from], place) => {
    data[place] = x.data[base + from!]!;
  });
  return { dtype: x.dtype, axes, data };
}

const slice: OpDefinition<"slice"> = {
  name: "slice",
  category: "movement",
  documentation: {
    summary: "the elements [start, start + size) of an axis",
    inputs: ["x: [..., axis, ...]"],
    result: "x with the axis cut to `size`",
  },
  arity: { min: 1, max: 1 },
  infer: ([x], { axis, start, size }) => {
    const old = findAxis(x!, axis);
    if (old === undefined) return missingAxis(x!, axis);
    if (typeof old.size !== "number")
      return `the axis "${axis}" has a symbolic size; take its \`last\` instead`;
    if (
      !Number.isInteger(start) ||
      !Number.isInteger(size) ||
      start < 0 ||
      size < 1 ||
      start + size > old.size
    ) {
      return `the slice ${start}..${start + size} must lie in "${axis}" of size ${old.size}`;
    }
    return { dtype: x!.dtype, axes: replaceAxis(x!.axes, axis, [{ name: axis, size }]) };
  },
  meaning: { tag: "reference", reference: ([x], { axis, start, size }) => sliceArray(x!, axis, start, size) },
  vjp: sliceVjp,
  cost: { perResult: 0, perInput: 0 },
  fusion: "view",
};

const concat: OpDefinition<"concat"> = {
  name: "concat",
  category: "movement",
  documentation: {
    summary: "joins tensors end to end along an axis; the other axes agree",
    inputs: ["one or more: [..., axis, ...]"],
    result: "like the inputs, with the sum of their sizes along the axis",
  },
  arity: { min: 1, max: 64 },
  infer: (inputs, { axis }) => {
    const first = inputs[0]!;
    let total = 0;
    for (const one of inputs) {
      const found = findAxis(one, axis);
      if (found === undefined) return missingAxis(one, axis);
      if (typeof found.size !== "number") return `the axis "${axis}" must have a fixed size`;
      total += found.size;
      const fits =
        one.dtype === first.dtype &&
        one.axes.length === first.axes.length &&
        one.axes.every((other, i) => other.name === axis || axisEquals(other, first.axes[i]!));
      if (!fits) return `the inputs must agree in everything but the size of "${axis}"`;
    }
    return { dtype: first.dtype, axes: replaceAxis(first.axes, axis, [{ name: axis, size: total }]) };
  },
  meaning: {
    tag: "reference",
    reference: (inputs, { axis }) => {
      const total = inputs.reduce((sum, one) => sum + one.axes.find((other) => other.name === axis)!.size, 0);
      const axes = inputs[0]!.axes.map((one) => (one.name === axis ? { name: axis, size: total } : one));
      const strides = stridesOf(axes);
      const data = new Float64Array(elementCount(axes));
      let base = 0;
      for (const one of inputs) {
        forEachIndex(one.axes, [strides], ([to], place) => {
          data[base + to!] = one.data[place]!;
        });
        base += one.axes.find((other) => other.name === axis)!.size * strides.get(axis)!;
      }
      return { dtype: inputs[0]!.dtype, axes, data };
    },
  },
  vjp: concatVjp,
  cost: { perResult: 0, perInput: 0 },
  fusion: "view",
};

const last: OpDefinition<"last"> = {
  name: "last",
  category: "movement",
  documentation: {
    summary: "the last element of an axis, which stays with size 1",
    inputs: ["x: [..., axis, ...]"],
    result: "x with the axis of size 1",
  },
  arity: { min: 1, max: 1 },
  infer: ([x], { axis }) =>
    findAxis(x!, axis) === undefined
      ? missingAxis(x!, axis)
      : { dtype: x!.dtype, axes: replaceAxis(x!.axes, axis, [{ name: axis, size: 1 }]) },
  meaning: {
    tag: "reference",
    reference: ([x], { axis }) => sliceArray(x!, axis, x!.axes.find((one) => one.name === axis)!.size - 1, 1),
  },
  vjp: lastVjp,
  cost: { perResult: 0, perInput: 0 },
  fusion: "view",
};

const broadcast: OpDefinition<"broadcast"> = {
  name: "broadcast",
  category: "movement",
  documentation: {
    summary: "repeats along axes that the input lacks, and puts all axes in the order given",
    inputs: ["x: [...]"],
    result: "x over the axes, in their order",
  },
  arity: { min: 1, max: 1 },
  infer: ([x], { axes }) => {
    for (const one of x!.axes) {
      const found = axes.find((other) => other.name === one.name);
      if (found === undefined) return `the axes must hold the input's axis "${one.name}"`;
      if (!sizeEquals(found.size, one.size)) return `axis "${one.name}" must keep its size`;
    }
    return distinct(x!.dtype, axes);
  },
  meaning: {
    tag: "reference",
    reference: ([x], { axes }, { symbols }) => {
      const concrete = axes.map(({ name, size }) => ({ name, size: sizeFor(size, symbols) }));
      const data = new Float64Array(elementCount(concrete));
      forEachIndex(concrete, [stridesOf(x!.axes)], ([from], place) => {
        data[place] = x!.data[from!]!;
      });
      return { dtype: x!.dtype, axes: concrete, data };
    },
  },
  vjp: passOn,
  cost: { perResult: 0, perInput: 0 },
  fusion: "view",
};

/**
 * The order of a computation, said in data: what is computed from the result cannot be computed sooner than the second
 * input, and is not what was computed from `x` itself.
 */
const after: OpDefinition<"after"> = {
  name: "after",
  category: "movement",
  documentation: {
    summary: "x, for those who must not read it before another value is there",
    inputs: ["x: [...]", "before: [...], computed first; its value does not matter"],
    result: "x",
  },
  arity: { min: 2, max: 2 },
  infer: ([x]) => x!,
  meaning: { tag: "reference", reference: ([x]) => x! },
  vjp: afterVjp,
  cost: { perResult: 0, perInput: 0 },
  fusion: "view",
};

export const movementOps = { rename, splitAxis, mergeAxes, slice, concat, last, broadcast, after };
