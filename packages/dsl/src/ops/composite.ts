/**
 * Ops with a name of their own that are defined in other ops. A fused kernel may compute one at a stroke, but its
 * definition here is what it means.
 */
import { type Axis, axisEquals, maxSize } from "../axis.ts";
import type { GraphBuilder } from "../graph/builder.ts";
import type { NodeId, TensorType } from "../graph/types.ts";
import type { OpDefinition } from "./define.ts";
import type { ScalarExpression } from "./scalar.ts";
import {
  broadcastAxes,
  duplicateAxis,
  findAxis,
  formatType,
  isFloat,
  missingAxis,
  withoutAxes,
} from "./shape.ts";

const like = (x: TensorType): TensorType => ({ dtype: "f32", axes: x.axes });

const floats = "takes float tensors";

/** The value in f32, in which composites compute: weights and caches may be stored in less. */
function inF32(builder: GraphBuilder, x: NodeId): NodeId {
  return builder.type(x).dtype === "f32" ? x : builder.add("cast", [x], { dtype: "f32" });
}

/** The name that a contracted axis has in a weight whose rows carry the same name. */
export function contractedName(name: string, to: readonly string[]): string {
  return to.includes(name) ? `${name}'` : name;
}

function sameAxes(a: readonly Axis[], b: readonly Axis[]): boolean {
  return a.length === b.length && a.every((one, index) => axisEquals(one, b[index]!));
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
    if (![x!, weight!, bias ?? x!].every((one) => isFloat(one.dtype))) return floats;
    if (from.length === 0) return "needs at least one axis to contract";
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
    if (bias !== undefined && !sameAxes(bias.axes, rows)) {
      return `the bias must have the axes [${to.join(", ")}] of the weight; given ${formatType(bias)}`;
    }
    const axes = [...withoutAxes(x!, from), ...rows];
    const twice = duplicateAxis(axes);
    return twice === undefined
      ? { dtype: "f32", axes }
      : `axis "${twice}" must not stand twice in the result`;
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
      return bias === undefined ? product : builder.add("add", [product, inF32(builder, bias)], {});
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
    if (!isFloat(weight!.dtype)) return "the weight must be a float tensor";
    const axes = [...indices!.axes, ...withoutAxes(weight!, [axis])];
    const twice = duplicateAxis(axes);
    return twice === undefined ? { dtype: "f32", axes } : `axis "${twice}" must not be in both inputs`;
  },
  meaning: {
    tag: "definition",
    define: (builder, [indices, weight], { axis }) =>
      inF32(builder, builder.add("gather", [weight!, indices!], { axis })),
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
  cost: { perResult: 12, perInput: 0 },
  fusion: "reduce",
};

const silu: OpDefinition<"silu"> = {
  name: "silu",
  category: "composite",
  documentation: {
    summary: "x * sigmoid(x)",
    inputs: ["x: float[...]"],
    result: "f32, like x",
    source: "Elfwing et al. 2017, Sigmoid-Weighted Linear Units",
  },
  arity: { min: 1, max: 1 },
  infer: ([x]) => (isFloat(x!.dtype) ? like(x!) : "takes a float tensor"),
  meaning: {
    tag: "definition",
    define: (builder, [input]) => {
      const x = inF32(builder, input!);
      return builder.add("mul", [x, builder.add("sigmoid", [x], {})], {});
    },
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
    if (!isFloat(x!.dtype)) return "x must be a float tensor";
    if (position!.dtype !== "i32") return "the position must be i32";
    for (const { name } of position!.axes) {
      if (name === axis) return `the position must not have the axis "${axis}" that is rotated`;
      if (findAxis(x!, name) === undefined) return missingAxis(x!, name);
    }
    const axes = broadcastAxes([x!, position!]);
    return typeof axes === "string" ? axes : like(x!);
  },
  meaning: {
    tag: "definition",
    define: (builder, [input, position], { axis, theta }) => {
      const x = inF32(builder, input!);
      const size = maxSize(findAxis(builder.type(x), axis)!.size);
      const half = { name: axis, size: size / 2 };
      const { cosine, sine } = rotation(builder, position!, half, theta);
      const low = builder.add("slice", [x], { axis, start: 0, size: half.size });
      const high = builder.add("slice", [x], { axis, start: half.size, size: half.size });
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
  infer: ([q, k, v, index], attributes) => {
    const { heads, kvHeads, headDim, sequence } = attributes;
    const keys = attributes.keys ?? sequence;
    if (![q!, k!, v!].every((one) => isFloat(one.dtype))) return floats;
    if (index!.dtype !== "i32") return "the index must be i32";
    for (const name of [sequence, heads, headDim])
      if (findAxis(q!, name) === undefined) return missingAxis(q!, name);
    if (q!.axes.at(-1)!.name !== headDim) return `the last axis of q must be "${headDim}"`;
    const batch = withoutAxes(q!, [sequence, heads, headDim]);
    const own = new Set([keys, kvHeads, headDim]);
    for (const type of [k!, v!]) {
      for (const name of own) if (findAxis(type, name) === undefined) return missingAxis(type, name);
      const other = withoutAxes(type, [...own]).find((one) => !batch.some((two) => axisEquals(one, two)));
      if (other !== undefined) return `the keys' axis "${other.name}" must be one of q's, of the same size`;
    }
    for (const [a, b, name] of [
      [k!, v!, keys],
      [k!, v!, kvHeads],
      [k!, v!, headDim],
      [q!, k!, headDim],
    ] as const) {
      if (!axisEquals(findAxis(a, name)!, findAxis(b, name)!)) return `axis "${name}" must have one size`;
    }
    const [queryHeads, keyHeads] = [findAxis(q!, heads)!.size, findAxis(k!, kvHeads)!.size];
    if (typeof queryHeads !== "number" || typeof keyHeads !== "number") return "heads must be a fixed number";
    if (queryHeads % keyHeads !== 0) return `${queryHeads} heads must be a multiple of ${keyHeads} key heads`;
    const strange = index!.axes.find(
      (one) => ![...batch, findAxis(q!, sequence)!].some((two) => axisEquals(one, two)),
    );
    if (strange !== undefined)
      return `the index' axis "${strange.name}" must be one of q's, of the same size`;
    // The names that the definition makes must be free.
    const taken = [...batch.map((one) => one.name), heads === kvHeads ? "" : heads, sequence, headDim];
    const made = [kvHeads, "group", attributes.keys ?? "keys"];
    const clash = made.find((name, at) => taken.includes(name) || made.indexOf(name) !== at);
    return clash === undefined ? like(q!) : `the axis name "${clash}" must not be taken`;
  },
  meaning: {
    tag: "definition",
    define: (builder, [q, k, v, index], attributes) => {
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
    result: "f32, over the axes by name of the inputs that the function uses",
  },
  arity: { min: 1, max: 16 },
  infer: (inputs, { expression }) => {
    if (!inputs.every((one) => isFloat(one.dtype))) return floats;
    const axes = expressionAxes(inputs, expression);
    return typeof axes === "string" ? axes : { dtype: "f32", axes };
  },
  meaning: {
    tag: "definition",
    define: (builder, inputs, { expression }) =>
      addNumber(
        builder,
        inputs.map((input) => inF32(builder, input)),
        expression,
      ),
  },
  cost: { perResult: 4, perInput: 0 },
  fusion: "map",
};

/** The axes that an expression's definition comes to have: those of the arguments it uses, joined in its own order. */
function expressionAxes(
  inputs: readonly TensorType[],
  expression: ScalarExpression,
): readonly Axis[] | string {
  const join = (...parts: readonly ScalarExpression[]): readonly Axis[] | string => {
    const types: TensorType[] = [];
    for (const part of parts) {
      const axes = expressionAxes(inputs, part);
      if (typeof axes === "string") return axes;
      types.push({ dtype: "f32", axes });
    }
    return broadcastAxes(types);
  };
  switch (expression.tag) {
    case "argument":
      return (
        inputs[expression.index]?.axes ??
        `the function asks for argument ${expression.index + 1} of ${inputs.length}`
      );
    case "constant":
      return [];
    case "unary":
      return join(expression.operand);
    case "binary":
      return join(expression.left, expression.right);
    case "select":
      return join(expression.condition, expression.then, expression.otherwise);
    default:
      return expression satisfies never;
  }
}

/** An expression as an f32 node; a comparison gives 1 or 0. */
function addNumber(builder: GraphBuilder, inputs: readonly NodeId[], expression: ScalarExpression): NodeId {
  return inF32(builder, addExpression(builder, inputs, expression));
}

function addExpression(
  builder: GraphBuilder,
  inputs: readonly NodeId[],
  expression: ScalarExpression,
): NodeId {
  const number = (inner: ScalarExpression) => addNumber(builder, inputs, inner);
  switch (expression.tag) {
    case "argument":
      return inputs[expression.index]!;
    case "constant":
      return builder.constant(expression.value);
    case "unary":
      return builder.add(expression.function, [number(expression.operand)], {});
    case "binary":
      return builder.add(expression.function, [number(expression.left), number(expression.right)], {});
    case "select": {
      const given = addExpression(builder, inputs, expression.condition);
      const condition =
        builder.type(given).dtype === "bool" ? given : builder.add("cast", [given], { dtype: "bool" });
      return builder.add("select", [condition, number(expression.then), number(expression.otherwise)], {});
    }
    default:
      return expression satisfies never;
  }
}

export const compositeOps = { linear, embedding, rmsNorm, softmax, silu, rope, attend, pointwise };
