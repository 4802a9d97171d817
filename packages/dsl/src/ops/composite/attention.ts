/** Positions and attention. */
import { axisEquals, maxSize } from "../../axis.ts";
import type { GraphBuilder } from "../../graph/builder.ts";
import type { NodeId } from "../../graph/types.ts";
import type { OpDefinition } from "../define.ts";
import { broadcastAxes, findAxis, isFloat, missingAxis, withoutAxes } from "../shape.ts";
import { floats, inF32, like } from "./common.ts";

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

export const attentionOps = { rope, attend };
