/** Row reductions with a name. */
import { maxSize } from "../../axis.ts";
import type { OpDefinition } from "../define.ts";
import { broadcastAxes, findAxis, isFloat, missingAxis, withoutAxes } from "../shape.ts";
import { byDefinition } from "../vjp/common.ts";
import { rmsNormVjp, softmaxVjp } from "../vjp/composite.ts";
import { floats, inF32, like } from "./common.ts";

const rmsNorm: OpDefinition<"rmsNorm"> = {
  name: "rmsNorm",
  category: "composite",
  documentation: {
    summary: "x / sqrt(mean(x^2) + epsilon) * weight, in f32",
    inputs: ["x: float[..., axis]", "weight: [axis]"],
    result: "f32, like x",
    source: "Zhang and Sennrich 2019, Root Mean Square Layer Normalization",
  },
  arity: { min: 2, max: 2 },
  infer: ([x, weight], { axis, epsilon }) => {
    const found = findAxis(x!, axis);
    if (found === undefined) return missingAxis(x!, axis);
    if (!isFloat(x!.dtype) || !isFloat(weight!.dtype)) return floats;
    if (typeof found.size !== "number") return `the size of "${axis}" must be fixed`;
    if (!(epsilon > 0)) return `epsilon must be above 0; given ${epsilon}`;
    const axes = broadcastAxes([x!, weight!]);
    if (typeof axes === "string") return axes;
    return weight!.axes.length === 1 && weight!.axes[0]!.name === axis
      ? like(x!)
      : `the weight must have the axis [${axis}]`;
  },
  meaning: {
    tag: "definition",
    define: (builder, inputs, { axis, epsilon }) => {
      const [x, weight] = inputs.map((input) => inF32(builder, input));
      const size = maxSize(findAxis(builder.type(x!), axis)!.size);
      const sum = builder.add("reduceSum", [builder.add("mul", [x!, x!], {})], { axis });
      const mean = builder.add("mul", [sum, builder.constant(1 / size)], {});
      const scale = builder.add("rsqrt", [builder.add("add", [mean, builder.constant(epsilon)], {})], {});
      return builder.add("mul", [builder.add("mul", [x!, scale], {}), weight!], {});
    },
  },
  vjp: rmsNormVjp,
  cost: { perResult: 4, perInput: 0 },
  fusion: "reduce",
};

const softmax: OpDefinition<"softmax"> = {
  name: "softmax",
  category: "composite",
  documentation: {
    summary: "exp(x - max(x)) / sum(exp(x - max(x))) along an axis",
    inputs: ["x: float[..., axis, ...]"],
    result: "f32, like x",
  },
  arity: { min: 1, max: 1 },
  infer: ([x], { axis }) => {
    if (!isFloat(x!.dtype)) return "takes a float tensor";
    return findAxis(x!, axis) === undefined ? missingAxis(x!, axis) : like(x!);
  },
  meaning: {
    tag: "definition",
    define: (builder, [input], { axis }) => {
      const x = inF32(builder, input!);
      const maximum = builder.add("reduceMax", [x], { axis });
      const shifted = builder.add("exp", [builder.add("sub", [x, maximum], {})], {});
      return builder.add("div", [shifted, builder.add("reduceSum", [shifted], { axis })], {});
    },
  },
  vjp: softmaxVjp,
  cost: { perResult: 12, perInput: 0 },
  fusion: "reduce",
};

const mean: OpDefinition<"mean"> = {
  name: "mean",
  category: "composite",
  documentation: {
    summary: "the sum along an axis divided by the axis' size",
    inputs: ["x: float[..., axis, ...]"],
    result: "f32: x without the axis",
  },
  arity: { min: 1, max: 1 },
  infer: ([x], { axis }) => {
    if (!isFloat(x!.dtype)) return "takes a float tensor";
    return findAxis(x!, axis) === undefined
      ? missingAxis(x!, axis)
      : { dtype: "f32", axes: withoutAxes(x!, [axis]) };
  },
  meaning: {
    tag: "definition",
    define: (builder, [input], { axis }) => {
      const x = inF32(builder, input!);
      const { size } = findAxis(builder.type(x), axis)!;
      const sum = builder.add("reduceSum", [x], { axis });
      if (typeof size === "number") return builder.add("mul", [sum, builder.constant(1 / size)], {});
      const count = builder.add("symbol", [], { name: size.symbol });
      return builder.add("div", [sum, inF32(builder, count)], {});
    },
  },
  vjp: byDefinition,
  cost: { perResult: 1, perInput: 1 },
  fusion: "reduce",
};

export const normalizationOps = { rmsNorm, softmax, mean };
