/**
 * Ops with a name of their own that are defined in other ops. A fused kernel may compute one at a stroke, but its
 * definition here is what it means.
 */
import { maxSize } from "../axis.ts";
import type { GraphBuilder } from "../graph/builder.ts";
import type { NodeId, TensorType } from "../graph/types.ts";
import type { OpDefinition } from "./define.ts";
import type { ScalarExpression } from "./scalar.ts";
import { broadcastAxes, findAxis, formatType, isFloat, missingAxis, withoutAxes } from "./shape.ts";

const like = (x: TensorType): TensorType => ({ dtype: "f32", axes: x.axes });

/** The name that a contracted axis has in a weight whose rows carry the same name. */
export function contractedName(name: string, to: readonly string[]): string {
  return to.includes(name) ? `${name}'` : name;
}

const linear: OpDefinition<"linear"> = {
  name: "linear",
  category: "composite",
  documentation: {
    summary: "x W^T + b: contracts the axes `from` of x with those of the weight",
    inputs: [
      "x: float[..., from]",
      "weight: [to, from], rows first as checkpoints store it",
      "bias: [to], optional",
    ],
    result: "f32[..., to]",
  },
  arity: { min: 2, max: 3 },
  infer: ([x, weight, bias], { from, to }) => {
    for (const name of from) if (findAxis(x!, name) === undefined) return missingAxis(x!, name);
    const expected = [...to, ...from.map((name) => contractedName(name, to))];
    if (weight!.axes.map((one) => one.name).join() !== expected.join()) {
      return `the weight must have the axes [${expected.join(", ")}]; given ${formatType(weight!)}`;
    }
    for (const name of from) {
      const [given, own] = [findAxis(x!, name)!, findAxis(weight!, contractedName(name, to))!];
      if (maxSize(given.size) !== maxSize(own.size)) {
        return `axis "${name}" must have one size in x and in the weight; given ${maxSize(given.size)} and ${maxSize(own.size)}`;
      }
    }
    const rows = weight!.axes.slice(0, to.length);
    if (bias !== undefined && bias.axes.map((one) => one.name).join() !== to.join()) {
      return `the bias must have the axes [${to.join(", ")}]; given ${formatType(bias)}`;
    }
    return { dtype: "f32", axes: [...withoutAxes(x!, from), ...rows] };
  },
  meaning: {
    tag: "definition",
    define: (builder, [x, weight, bias], { from, to }) => {
      let renamed = x!;
      for (const name of from) {
        const other = contractedName(name, to);
        if (other !== name) renamed = builder.add("rename", [renamed], { from: name, to: other });
      }
      const contract = from.map((name) => contractedName(name, to));
      const product = builder.add("dot", [renamed, weight!], { contract });
      return bias === undefined ? product : builder.add("add", [product, bias], {});
    },
  },
  cost: { perResult: 2, perInput: 0 },
  fusion: "template",
};

const embedding: OpDefinition<"embedding"> = {
  name: "embedding",
  category: "composite",
  documentation: {
    summary: "the rows of a table that the indices name",
    inputs: ["indices: i32[...]", "weight: [axis, ...]"],
    result: "f32: the axes of the indices, then the table's other axes",
  },
  arity: { min: 2, max: 2 },
  infer: ([indices, weight], { axis }) => {
    if (indices!.dtype !== "i32") return "the indices must be i32";
    if (findAxis(weight!, axis) === undefined) return missingAxis(weight!, axis);
    return { dtype: "f32", axes: [...indices!.axes, ...withoutAxes(weight!, [axis])] };
  },
  meaning: {
    tag: "definition",
    define: (builder, [indices, weight], { axis }) => {
      const rows = builder.add("gather", [weight!, indices!], { axis });
      return builder.type(rows).dtype === "f32" ? rows : builder.add("cast", [rows], { dtype: "f32" });
    },
  },
  cost: { perResult: 0, perInput: 0 },
  fusion: "map",
};

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
    if (!(epsilon > 0)) return `epsilon must be above 0; given ${epsilon}`;
    const axes = broadcastAxes([x!, weight!]);
    if (typeof axes === "string") return axes;
    return weight!.axes.length === 1 && weight!.axes[0]!.name === axis
      ? like(x!)
      : `the weight must have the axis [${axis}]`;
  },
  meaning: {
    tag: "definition",
    define: (builder, [x, weight], { axis, epsilon }) => {
      const size = maxSize(findAxis(builder.type(x!), axis)!.size);
      const sum = builder.add("reduceSum", [builder.add("mul", [x!, x!], {})], { axis });
      const mean = builder.add("mul", [sum, builder.constant(1 / size)], {});
      const scale = builder.add("rsqrt", [builder.add("add", [mean, builder.constant(epsilon)], {})], {});
      return builder.add("mul", [builder.add("mul", [x!, scale], {}), weight!], {});
    },
  },
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
  infer: ([x], { axis }) => (findAxis(x!, axis) === undefined ? missingAxis(x!, axis) : like(x!)),
  meaning: {
    tag: "definition",
    define: (builder, [x], { axis }) => {
      const maximum = builder.add("reduceMax", [x!], { axis });
      const shifted = builder.add("exp", [builder.add("sub", [x!, maximum], {})], {});
      return builder.add("div", [shifted, builder.add("reduceSum", [shifted], { axis })], {});
    },
  },
  cost: { perResult: 12, perInput: 0 },
  fusion: "reduce",
};

const silu: OpDefinition<"silu"> = {
  name: "silu",
  category: "composite",
  documentation: {
    summary: "x * sigmoid(x)",
    inputs: ["x: float[...]"],
    result: "like x",
    source: "Elfwing et al. 2017, Sigmoid-Weighted Linear Units",
  },
  arity: { min: 1, max: 1 },
  infer: ([x]) => (isFloat(x!.dtype) ? like(x!) : "takes a float tensor"),
  meaning: {
    tag: "definition",
    define: (builder, [x]) => builder.add("mul", [x!, builder.add("sigmoid", [x!], {})], {}),
  },
  cost: { perResult: 11, perInput: 0 },
  fusion: "map",
};

const rope: OpDefinition<"rope"> = {
  name: "rope",
  category: "composite",
  documentation: {
    summary:
      "rotates element i of the first half with element i of the second half by position * theta^(-2i/size)",
    inputs: ["x: float[..., axis]", "position: i32[sequence]"],
    result: "f32, like x",
    source: "Su et al. 2021, RoFormer; half-split pairing as in GPT-NeoX",
  },
  arity: { min: 2, max: 2 },
  infer: ([x, position], { axis, theta }) => {
    const found = findAxis(x!, axis);
    if (found === undefined) return missingAxis(x!, axis);
    if (typeof found.size !== "number" || found.size % 2 !== 0) return `the size of "${axis}" must be even`;
    if (!(theta > 0)) return `theta must be above 0; given ${theta}`;
    if (position!.dtype !== "i32") return "the position must be i32";
    const axes = broadcastAxes([x!, position!]);
    return typeof axes === "string" ? axes : like(x!);
  },
  meaning: {
    tag: "definition",
    define: (builder, [x, position], { axis, theta }) => {
      const size = maxSize(findAxis(builder.type(x!), axis)!.size);
      const half = { name: axis, size: size / 2 };
      const { cosine, sine } = rotation(builder, position!, half, theta);
      const low = builder.add("slice", [x!], { axis, start: 0, size: half.size });
      const high = builder.add("slice", [x!], { axis, start: half.size, size: half.size });
      const times = (a: NodeId, b: NodeId) => builder.add("mul", [a, b], {});
      const first = builder.add("sub", [times(low, cosine), times(high, sine)], {});
      const second = builder.add("add", [times(high, cosine), times(low, sine)], {});
      return builder.add("concat", [first, second], { axis });
    },
  },
  cost: { perResult: 3, perInput: 0 },
  fusion: "map",
};

/** Cosines and sines of the angles [sequence, half]; equal for every layer, so the builder shares them. */
function rotation(
  builder: GraphBuilder,
  position: NodeId,
  half: { name: string; size: number },
  theta: number,
) {
  const index = builder.add("cast", [builder.add("iota", [], { axis: half })], { dtype: "f32" });
  const exponent = builder.add("mul", [index, builder.constant(1 / half.size)], {});
  const wavelength = builder.add("pow", [builder.constant(theta), exponent], {});
  const frequency = builder.add("reciprocal", [wavelength], {});
  const angle = builder.add("mul", [builder.add("cast", [position], { dtype: "f32" }), frequency], {});
  return { cosine: builder.add("cos", [angle], {}), sine: builder.add("sin", [angle], {}) };
}

const attend: OpDefinition<"attend"> = {
  name: "attend",
  category: "composite",
  documentation: {
    summary: "softmax(scale q k^T) v with grouped heads; causal: a query sees the keys up to its own index",
    inputs: [
      "q: float[sequence, heads, headDim]",
      "k: float[keys, kvHeads, headDim], axes in any order",
      "v: float, like k",
      "index: i32[sequence], the place of each query among the keys",
    ],
    result: "f32[sequence, heads, headDim]",
    source: "Vaswani et al. 2017; grouped queries by Ainslie et al. 2023",
  },
  arity: { min: 4, max: 4 },
  infer: ([q, k, v, index], { heads, kvHeads, headDim, sequence, keys }) => {
    for (const name of [sequence, heads, headDim])
      if (findAxis(q!, name) === undefined) return missingAxis(q!, name);
    for (const type of [k!, v!]) {
      for (const name of [keys ?? sequence, kvHeads, headDim]) {
        if (findAxis(type, name) === undefined) return missingAxis(type, name);
      }
    }
    const [queryHeads, keyHeads] = [maxSize(findAxis(q!, heads)!.size), maxSize(findAxis(k!, kvHeads)!.size)];
    if (queryHeads % keyHeads !== 0) return `${queryHeads} heads must be a multiple of ${keyHeads} key heads`;
    if (index!.dtype !== "i32") return "the index must be i32";
    return like(q!);
  },
  meaning: {
    tag: "definition",
    define: (builder, [q, k, v, index], attributes, result) => {
      const { heads, kvHeads, headDim, sequence, causal, scale } = attributes;
      const keys = attributes.keys ?? "keys";
      const toKeys = (x: NodeId) =>
        attributes.keys === undefined ? builder.add("rename", [x], { from: sequence, to: keys }) : x;
      const [key, value] = [toKeys(k!), toKeys(v!)];
      const keyHeads = findAxis(builder.type(key), kvHeads)!;
      const count = maxSize(findAxis(builder.type(q!), heads)!.size) / maxSize(keyHeads.size);
      const grouped = builder.add("splitAxis", [q!], {
        axis: heads,
        into: [keyHeads, { name: "group", size: count }],
      });
      const products = builder.add("dot", [grouped, key], { contract: [headDim] });
      let scores = builder.add("mul", [products, builder.constant(scale)], {});
      if (causal) {
        const keyIndex = builder.add("iota", [], { axis: findAxis(builder.type(key), keys)! });
        const visible = builder.add("lessEqual", [keyIndex, index!], {});
        scores = builder.add("select", [visible, scores, builder.constant(Number.NEGATIVE_INFINITY)], {});
      }
      const weights = builder.add("softmax", [scores], { axis: keys });
      const mixed = builder.add("dot", [weights, value], { contract: [keys] });
      const merged = builder.add("mergeAxes", [mixed], { axes: [kvHeads, "group"], into: heads });
      if (
        builder
          .type(merged)
          .axes.map((one) => one.name)
          .join() !== result.axes.map((one) => one.name).join()
      ) {
        throw new Error(`attend gives ${formatType(builder.type(merged))}, not ${formatType(result)}`);
      }
      return merged;
    },
  },
  cost: { perResult: 4, perInput: 0 },
  fusion: "template",
};

const pointwise: OpDefinition<"pointwise"> = {
  name: "pointwise",
  category: "composite",
  documentation: {
    summary: "a function of the user's own, applied at every place",
    inputs: ["one or more: float[...]"],
    result: "f32, over the axes of all inputs by name",
  },
  arity: { min: 1, max: 16 },
  infer: (inputs) => {
    const axes = broadcastAxes(inputs);
    return typeof axes === "string" ? axes : { dtype: "f32", axes };
  },
  meaning: {
    tag: "definition",
    define: (builder, inputs, { expression }) => addExpression(builder, inputs, expression),
  },
  cost: { perResult: 4, perInput: 0 },
  fusion: "map",
};

function addExpression(
  builder: GraphBuilder,
  inputs: readonly NodeId[],
  expression: ScalarExpression,
): NodeId {
  const add = (inner: ScalarExpression) => addExpression(builder, inputs, inner);
  switch (expression.tag) {
    case "argument":
      return inputs[expression.index]!;
    case "constant":
      return builder.constant(expression.value);
    case "unary":
      return builder.add(expression.function, [add(expression.operand)], {});
    case "binary":
      return builder.add(expression.function, [add(expression.left), add(expression.right)], {});
    case "select":
      return builder.add(
        "select",
        [add(expression.condition), add(expression.then), add(expression.otherwise)],
        {},
      );
    default:
      return expression satisfies never;
  }
}

export const compositeOps = { linear, embedding, rmsNorm, softmax, silu, rope, attend, pointwise };
