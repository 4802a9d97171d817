/** Ops that compute each element from elements at the same place. Inputs broadcast by axis name. */
import { elementCount, forEachIndex, roundTo, stridesOf, type TensorArray } from "../graph/tensor-array.ts";
import type { TensorType } from "../graph/types.ts";
import { randomHalf, roundWith, wordOf } from "../random/rounding.ts";
import type { OpDefinition } from "./define.ts";
import {
  type BinaryFunction,
  binaryFunctions,
  evaluateBinary,
  evaluateUnary,
  isComparison,
  type UnaryFunction,
  unaryFunctions,
} from "./scalar.ts";
import { broadcastAxes, holdsFloats, isFloat } from "./shape.ts";
import { binaryVjp, castVjp, selectVjp, unaryVjp } from "./vjp/pointwise.ts";

/** Applies `compute` at every place of the broadcast of the inputs. */
export function mapArrays(
  inputs: readonly TensorArray[],
  dtype: TensorType["dtype"],
  compute: (values: Float64Array) => number,
): TensorArray {
  const types = inputs.map((one) => ({ dtype: one.dtype, axes: one.axes }));
  const axes = broadcastAxes(types);
  if (typeof axes === "string") throw new Error(axes);
  const concrete = axes.map((one) => ({ name: one.name, size: one.size as number }));
  const data = new Float64Array(elementCount(concrete));
  const values = new Float64Array(inputs.length);
  forEachIndex(
    concrete,
    inputs.map((one) => stridesOf(one.axes)),
    (offsets, place) => {
      for (let i = 0; i < inputs.length; i++) values[i] = inputs[i]!.data[offsets[i]!]!;
      data[place] = roundTo(dtype, compute(values));
    },
  );
  return { dtype, axes: concrete, data };
}

const unaryCost: Partial<Record<UnaryFunction, number>> = {
  exp: 8,
  log: 8,
  sin: 16,
  cos: 16,
  tanh: 12,
  sigmoid: 10,
};

const unarySummary: Record<UnaryFunction, string> = {
  neg: "-x",
  abs: "|x|",
  exp: "e to the power of x",
  log: "natural logarithm of x",
  sqrt: "square root of x",
  rsqrt: "1 / sqrt(x)",
  reciprocal: "1 / x",
  sin: "sine of x, in radians",
  cos: "cosine of x, in radians",
  tanh: "hyperbolic tangent of x",
  sigmoid: "1 / (1 + exp(-x))",
  floor: "the largest integer not above x",
};

function unary<K extends UnaryFunction>(name: K): OpDefinition<K> {
  return {
    name,
    category: "pointwise",
    documentation: { summary: unarySummary[name], inputs: ["x: float[...]"], result: "like x" },
    arity: { min: 1, max: 1 },
    infer: ([x]) => (isFloat(x!.dtype) ? x! : "takes a float tensor"),
    meaning: {
      tag: "reference",
      reference: ([x]) => mapArrays([x!], x!.dtype, (values) => evaluateUnary(name, values[0]!)),
    },
    vjp: unaryVjp(name),
    cost: { perResult: unaryCost[name] ?? 1, perInput: 0 },
    fusion: "map",
  } as OpDefinition<K>;
}

const binarySummary: Record<BinaryFunction, string> = {
  add: "a + b",
  sub: "a - b",
  mul: "a * b",
  div: "a / b",
  max: "the larger of a and b",
  min: "the smaller of a and b",
  pow: "a to the power of b",
  less: "whether a < b",
  lessEqual: "whether a <= b",
  equal: "whether a = b",
};

function binary<K extends BinaryFunction>(name: K): OpDefinition<K> {
  const resultType = (dtype: TensorType["dtype"]) => (isComparison(name) ? ("bool" as const) : dtype);
  return {
    name,
    category: "pointwise",
    documentation: {
      summary: binarySummary[name],
      inputs: ["a: [...]", "b: [...], of the same dtype"],
      result: `${isComparison(name) ? "bool" : "like a"}, over the axes of both by name`,
    },
    arity: { min: 2, max: 2 },
    infer: ([a, b]) => {
      if (a!.dtype !== b!.dtype) return "both sides must have one dtype";
      if ((holdsFloats(a!.dtype) && !isFloat(a!.dtype)) || a!.dtype === "bool" || a!.dtype === "i8")
        return `takes numbers, not ${a!.dtype}`;
      const axes = broadcastAxes([a!, b!]);
      return typeof axes === "string" ? axes : { dtype: resultType(a!.dtype), axes };
    },
    meaning: {
      tag: "reference",
      reference: ([a, b]) =>
        mapArrays([a!, b!], resultType(a!.dtype), (values) => evaluateBinary(name, values[0]!, values[1]!)),
    },
    vjp: binaryVjp(name),
    cost: { perResult: name === "pow" ? 16 : 1, perInput: 0 },
    fusion: "map",
  } as OpDefinition<K>;
}

const select: OpDefinition<"select"> = {
  name: "select",
  category: "pointwise",
  documentation: {
    summary: "a where the condition holds, else b",
    inputs: ["condition: bool[...]", "a: [...]", "b: [...], of the same dtype"],
    result: "like a, over the axes of all three by name",
  },
  arity: { min: 3, max: 3 },
  infer: ([condition, a, b]) => {
    if (condition!.dtype !== "bool") return "the condition must be bool";
    if (a!.dtype !== b!.dtype) return "both branches must have one dtype";
    const axes = broadcastAxes([condition!, a!, b!]);
    return typeof axes === "string" ? axes : { dtype: a!.dtype, axes };
  },
  meaning: {
    tag: "reference",
    reference: ([condition, a, b]) =>
      mapArrays([condition!, a!, b!], a!.dtype, (values) => (values[0] !== 0 ? values[1]! : values[2]!)),
  },
  vjp: selectVjp,
  cost: { perResult: 1, perInput: 0 },
  fusion: "map",
};

const cast: OpDefinition<"cast"> = {
  name: "cast",
  category: "pointwise",
  documentation: {
    summary:
      "converts to another dtype; floats round to nearest even, a float to i32 truncates toward zero (beyond the range: its nearest end; NaN: 0), one to i8 rounds to nearest even (beyond 127: to 127, with its sign; NaN: 0)",
    inputs: ["x: [...]"],
    result: "like x, of the given dtype",
  },
  arity: { min: 1, max: 1 },
  infer: ([x], { dtype }) => {
    if (dtype === "nvfp4" && x!.dtype !== "nvfp4") return "nvfp4 is made by quantizeNvfp4";
    if (dtype === "f8e4m3" && x!.dtype !== "f8e4m3") return "f8e4m3 is of parameters alone";
    return { dtype, axes: x!.axes };
  },
  meaning: {
    tag: "reference",
    reference: ([x], { dtype }) => mapArrays([x!], dtype, (values) => values[0]!),
  },
  vjp: castVjp,
  cost: { perResult: 1, perInput: 0 },
  fusion: "map",
};

const stochasticRound: OpDefinition<"stochasticRound"> = {
  name: "stochasticRound",
  category: "pointwise",
  documentation: {
    summary:
      "rounds to bf16 at random: up with the probability that is x's distance from the bf16 below it in units of the gap, by 16 random bits for each element. The bits are a function of the key, the stream and the element's place in x, counted row by row; docs/numerics.md has them to the bit",
    inputs: [
      "x: f32[...], of which all axes but the first have fixed sizes",
      "keyLow: f32[], an integer from 0 to 2^24 - 1",
      "keyHigh: f32[], an integer from 0 to 2^24 - 1",
      "stream: f32[], an integer from 0 to 2^24 - 1; tells tensors apart that are rounded under one key",
    ],
    result: "like x, in bf16",
    source: "Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3 (SC 2011)",
  },
  arity: { min: 4, max: 4 },
  infer: ([x, ...scalars]) => {
    if ([x!, ...scalars].some(({ dtype }) => dtype !== "f32")) return "takes f32 tensors";
    if (scalars.some(({ axes }) => axes.length > 0)) return "the key and the stream must be scalars";
    const open = x!.axes.slice(1).find(({ size }) => typeof size !== "number");
    if (open !== undefined) return `the axis "${open.name}" must have a fixed size`;
    return { dtype: "bf16", axes: x!.axes };
  },
  meaning: {
    tag: "reference",
    reference: ([x, keyLow, keyHigh, stream]) => {
      const key = [wordOf(keyLow!.data[0]!), wordOf(keyHigh!.data[0]!)] as const;
      const from = wordOf(stream!.data[0]!);
      const data = x!.data.map((value, place) => roundWith(value, randomHalf(place, key, from)));
      return { dtype: "bf16", axes: x!.axes, data };
    },
  },
  vjp: {
    tag: "stop",
    reason: "an update's result is rounded, and nothing is differentiated through an update",
  },
  // Ten rounds of Philox for eight elements, and the rounding.
  cost: { perResult: 20, perInput: 0 },
  fusion: "map",
};

type Definitions<Names extends UnaryFunction | BinaryFunction> = { readonly [K in Names]: OpDefinition<K> };

export const pointwiseOps = {
  ...(Object.fromEntries(unaryFunctions.map((name) => [name, unary(name)])) as Definitions<UnaryFunction>),
  ...(Object.fromEntries(binaryFunctions.map((name) => [name, binary(name)])) as Definitions<BinaryFunction>),
  select,
  cast,
  stochasticRound,
};
