/** Attention: softmax(scale q k^T) v. Its gradient stands in attention-gradient.ts. */
import { axisEquals, maxSize } from "../../axis.ts";
import type { GraphBuilder } from "../../graph/builder.ts";
import type { NodeId, TensorType } from "../../graph/types.ts";
import type { OpDefinition } from "../define.ts";
import type { OpAttributes } from "../names.ts";
import { findAxis, isFloat, missingAxis, withoutAxes } from "../shape.ts";
import { attendVjp } from "../vjp/composite.ts";
import { floats, like } from "./common.ts";

type AttendAttributes = OpAttributes["attend"];

/** What queries, keys, values and the indices must be to each other; undefined where all is well. */
export function refuseAttention(
  [q, k, v, index, starts]: readonly (TensorType | undefined)[],
  attributes: AttendAttributes,
): string | undefined {
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
  const places = [...batch, findAxis(q!, sequence)!];
  const strange = index!.axes.find((one) => !places.some((two) => axisEquals(one, two)));
  if (strange !== undefined) return `the index' axis "${strange.name}" must be one of q's, of the same size`;
  if (starts !== undefined) {
    if (starts.dtype !== "i32") return "the starts must be i32";
    if (!attributes.causal) return "starts need causal attention: they say only where the visible keys begin";
    const other = starts.axes.find((one) => !places.some((two) => axisEquals(one, two)));
    if (other !== undefined) return `the starts' axis "${other.name}" must be one of q's, of the same size`;
  }
  // The names that the definition makes must be free.
  const taken = [...batch.map((one) => one.name), heads === kvHeads ? "" : heads, sequence, headDim];
  const made = [kvHeads, "group", attributes.keys ?? "keys"];
  const clash = made.find((name, at) => taken.includes(name) || made.indexOf(name) !== at);
  return clash === undefined ? undefined : `the axis name "${clash}" must not be taken`;
}

/** Queries with their heads in groups, and keys under an axis name of their own. */
export function groupHeads(
  builder: GraphBuilder,
  q: NodeId,
  key: NodeId,
  attributes: AttendAttributes,
): NodeId {
  const { heads, kvHeads } = attributes;
  const keyHeads = findAxis(builder.type(key), kvHeads)!;
  const count = maxSize(findAxis(builder.type(q), heads)!.size) / maxSize(keyHeads.size);
  return builder.add("splitAxis", [q], { axis: heads, into: [keyHeads, { name: "group", size: count }] });
}

/** The axis of the keys inside the definitions. */
export const keysOf = ({ keys }: AttendAttributes): string => keys ?? "keys";

/** Keys or values with the key axis under its own name: there the queries' positions are another axis. */
export function toKeys(builder: GraphBuilder, x: NodeId, attributes: AttendAttributes): NodeId {
  if (attributes.keys !== undefined) return x;
  return builder.add("rename", [x], { from: attributes.sequence, to: keysOf(attributes) });
}

/** scale q k^T [..., kvHeads, group, keys], and -infinity where a query does not see a key. */
export function attentionScores(
  builder: GraphBuilder,
  grouped: NodeId,
  key: NodeId,
  index: NodeId,
  starts: NodeId | undefined,
  attributes: AttendAttributes,
): NodeId {
  const products = builder.add("dot", [grouped, key], { contract: [attributes.headDim] });
  let scores = builder.add("mul", [products, builder.constant(attributes.scale)], {});
  if (!attributes.causal) return scores;
  const keyIndex = builder.add("iota", [], { axis: findAxis(builder.type(key), keysOf(attributes))! });
  const hide = (visible: NodeId) => {
    scores = builder.add("select", [visible, scores, builder.constant(Number.NEGATIVE_INFINITY)], {});
  };
  hide(builder.add("lessEqual", [keyIndex, index], {}));
  if (starts !== undefined) hide(builder.add("lessEqual", [starts, keyIndex], {}));
  return scores;
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
      "starts: i32[sequence], optional, causal only: the first key that each query sees",
    ],
    result: "f32[sequence, heads, headDim]",
    source: "Vaswani et al. 2017; grouped queries by Ainslie et al. 2023",
  },
  arity: { min: 4, max: 5 },
  infer: (inputs, attributes) => refuseAttention(inputs, attributes) ?? like(inputs[0]!),
  meaning: {
    tag: "definition",
    define: (builder, [q, k, v, index, starts], attributes) => {
      const [key, value] = [toKeys(builder, k!, attributes), toKeys(builder, v!, attributes)];
      const grouped = groupHeads(builder, q!, key, attributes);
      const scores = attentionScores(builder, grouped, key, index!, starts, attributes);
      const weights = builder.add("softmax", [scores], { axis: keysOf(attributes) });
      const mixed = builder.add("dot", [weights, value], { contract: [keysOf(attributes)] });
      return builder.add("mergeAxes", [mixed], {
        axes: [attributes.kvHeads, "group"],
        into: attributes.heads,
      });
    },
  },
  vjp: attendVjp,
  cost: { perResult: 4, perInput: 0 },
  fusion: "template",
};

export const attentionOps = { attend };
