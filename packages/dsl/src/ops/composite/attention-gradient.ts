/**
 * The backward side of attention, in the form of FlashAttention-2: the weights are computed again from queries, keys
 * and one number per query and head, so that nothing of the size queries x keys has to be kept.
 *
 * That number is a value of the graph, `attendLogSumExp`. A kernel that computes `attend` has it at hand: a template
 * may take both nodes together, and a pass that decides what is kept sees what it costs.
 */
import type { TensorType } from "../../graph/types.ts";
import type { OpDefinition } from "../define.ts";
import { findAxis, formatType, withoutAxes } from "../shape.ts";
import { byDefinition } from "../vjp/common.ts";
import { attentionScores, groupHeads, keysOf, refuseAttention, toKeys } from "./attention.ts";
import { inF32, sameAxes } from "./common.ts";

const attendLogSumExp: OpDefinition<"attendLogSumExp"> = {
  name: "attendLogSumExp",
  category: "composite",
  documentation: {
    summary: "log(sum(exp(scale q k^T))) over the keys that a query sees in `attend`",
    inputs: [
      "q: float[sequence, heads, headDim]",
      "k: float[sequence, kvHeads, headDim], axes in any order",
      "index: i32[sequence], the place of each query among the keys",
      "starts: i32[sequence], optional, causal only: the first key that each query sees",
    ],
    result: "f32[sequence, heads]",
    source: "Dao 2023, FlashAttention-2",
  },
  arity: { min: 3, max: 4 },
  infer: ([q, k, index, starts], attributes) =>
    refuseAttention([q, k, k, index, starts], attributes) ?? {
      dtype: "f32",
      axes: withoutAxes(q!, [attributes.headDim]),
    },
  meaning: {
    tag: "definition",
    define: (builder, [q, k, index, starts], attributes) => {
      const axis = keysOf(attributes);
      const key = toKeys(builder, k!, attributes);
      const grouped = groupHeads(builder, q!, key, attributes);
      const scores = attentionScores(builder, grouped, key, index!, starts, attributes);
      const maximum = builder.add("reduceMax", [scores], { axis });
      const shifted = builder.add("exp", [builder.add("sub", [scores, maximum], {})], {});
      const sum = builder.add("reduceSum", [shifted], { axis });
      const both = builder.add("add", [maximum, builder.add("log", [sum], {})], {});
      return builder.add("mergeAxes", [both], {
        axes: [attributes.kvHeads, "group"],
        into: attributes.heads,
      });
    },
  },
  vjp: byDefinition,
  cost: { perResult: 4, perInput: 0 },
  fusion: "template",
};

/** The cotangents of q, k and v stand one behind the other along the heads. */
function packedType(q: TensorType, k: TensorType, heads: string, kvHeads: string): TensorType {
  const shared = findAxis(k, kvHeads)!.size as number;
  const axes = q.axes.map((one) =>
    one.name === heads ? { name: heads, size: (one.size as number) + 2 * shared } : one,
  );
  return { dtype: "f32", axes };
}

const attendGradient: OpDefinition<"attendGradient"> = {
  name: "attendGradient",
  category: "composite",
  documentation: {
    summary: "the cotangents of q, k and v of `attend`, joined along the heads in this order",
    inputs: [
      "q: float[sequence, heads, headDim]",
      "k: float[sequence, kvHeads, headDim], axes in any order",
      "v: float, like k",
      "index: i32[sequence], the place of each query among the keys",
      "result: float, like q: what `attend` gave",
      "logSumExp: f32[sequence, heads], of `attendLogSumExp`",
      "cotangent: float, like q: of the result",
      "starts: i32[sequence], optional, causal only: the first key that each query sees",
    ],
    result: "f32: like q, with heads + 2 kvHeads heads",
    source: "Dao 2023, FlashAttention-2",
  },
  arity: { min: 7, max: 8 },
  infer: ([q, k, v, index, result, logSumExp, cotangent, starts], attributes) => {
    const refusal = refuseAttention([q, k, v, index, starts], attributes);
    if (refusal !== undefined) return refusal;
    const { heads, kvHeads, headDim } = attributes;
    for (const [type, axes, what] of [
      [result!, q!.axes, "result"],
      [cotangent!, q!.axes, "cotangent"],
      [logSumExp!, withoutAxes(q!, [headDim]), "logSumExp"],
    ] as const) {
      if (type.dtype !== "f32" || !sameAxes(type.axes, axes))
        return `the ${what} must be ${formatType({ dtype: "f32", axes })}`;
    }
    return packedType(q!, k!, heads, kvHeads);
  },
  meaning: {
    tag: "definition",
    define: (builder, [q, k, v, index, result, logSumExp, cotangent, starts], attributes, type) => {
      const { heads, kvHeads, headDim, sequence, scale } = attributes;
      const axis = keysOf(attributes);
      const [key, value] = [toKeys(builder, k!, attributes), toKeys(builder, v!, attributes)];
      const group = (x: number) => groupHeads(builder, x, key, attributes);
      const [queries, output, change] = [group(q!), group(result!), group(cotangent!)];
      const times = (a: number, b: number) => builder.add("mul", [a, b], {});
      const minus = (a: number, b: number) => builder.add("sub", [a, b], {});
      // P = exp(S - logSumExp), dS = P (dO V^T - sum(dO O)): no exponent is above 0, and hidden keys give 0.
      const scores = attentionScores(builder, queries, key, index!, starts, attributes);
      const weights = builder.add("exp", [minus(scores, group(logSumExp!))], {});
      const correction = builder.add("reduceSum", [times(change, inF32(builder, output))], { axis: headDim });
      const change2 = builder.add("dot", [change, value], { contract: [headDim] });
      const slopes = times(times(weights, minus(change2, correction)), builder.constant(scale));
      const merged = builder.add("mergeAxes", [builder.add("dot", [slopes, key], { contract: [axis] })], {
        axes: [kvHeads, "group"],
        into: heads,
      });
      // Back under the names of the queries and in their order, with the shared heads in place of the heads.
      const shared = findAxis(builder.type(key), kvHeads)!.size;
      const axes = type.axes.map((one) => (one.name === heads ? { name: heads, size: shared } : one));
      const back = (x: number) => {
        const named = builder.add("rename", [x], { from: axis, to: sequence });
        const joined =
          kvHeads === heads ? named : builder.add("rename", [named], { from: kvHeads, to: heads });
        return builder.add("broadcast", [joined], { axes });
      };
      const contract = [sequence, "group"];
      const ofKeys = back(builder.add("dot", [slopes, queries], { contract }));
      const ofValues = back(builder.add("dot", [weights, change], { contract }));
      return builder.add("concat", [merged, ofKeys, ofValues], { axis: heads });
    },
  },
  vjp: byDefinition,
  // The scores again, and four products of their size.
  cost: { perResult: 10, perInput: 0 },
  fusion: "template",
};

export const attentionGradientOps = { attendLogSumExp, attendGradient };
