/**
 * Cross entropy of class scores. Positions whose target is -1 (any target below 0) are masked: they contribute nothing
 * to a loss and nothing to a gradient. A target must be below the number of classes.
 *
 * Both directions are one node each, so that the head of a language model can be found and cut into chunks of
 * positions: `l = linear(x, w)`, `crossEntropy(l, t)` and `crossEntropyGradient(l, t, d)`, where l has no other reader
 * and the gradient is read by the two products of the linear's own gradient only. Each position stands for itself, so
 * a chunk's scores and their gradient can live for that chunk alone, and the whole scores never exist: a compiler that is
 * asked for it makes one kernel of these five nodes (`lossChunk` of `compile`).
 */
import type { GraphBuilder } from "../../graph/builder.ts";
import type { NodeId, TensorType } from "../../graph/types.ts";
import type { OpDefinition } from "../define.ts";
import { findAxis, formatType, isFloat, missingAxis, withoutAxes } from "../shape.ts";
import { byDefinition } from "../vjp/common.ts";
import { crossEntropyVjp } from "../vjp/composite.ts";
import { inF32, like, sameAxes } from "./common.ts";

const logitsText = "logits: float[..., axis, ...]";
const targetsText = "targets: i32, the logits' other axes; -1 masks a position";

/** The type of one number per position, or why logits and targets do not fit. */
function perPosition(logits: TensorType, targets: TensorType, axis: string): TensorType | string {
  if (!isFloat(logits.dtype)) return "the logits must be a float tensor";
  if (targets.dtype !== "i32") return "the targets must be i32";
  if (findAxis(logits, axis) === undefined) return missingAxis(logits, axis);
  const type: TensorType = { dtype: "f32", axes: withoutAxes(logits, [axis]) };
  if (sameAxes(targets.axes, type.axes)) return type;
  return `the targets must be ${formatType({ dtype: "i32", axes: type.axes })}`;
}

/** Where the class of a score is the target: bool over the logits' axes. */
function isTarget(builder: GraphBuilder, logits: NodeId, targets: NodeId, axis: string): NodeId {
  const classes = builder.add("iota", [], { axis: findAxis(builder.type(logits), axis)! });
  return builder.add("equal", [targets, classes], {});
}

function counts(builder: GraphBuilder, targets: NodeId): NodeId {
  return builder.add("lessEqual", [builder.constant(0, "i32"), targets], {});
}

const crossEntropy: OpDefinition<"crossEntropy"> = {
  name: "crossEntropy",
  category: "composite",
  documentation: {
    summary: "log(sum(exp(logits))) - the target's logit; 0 where the target is masked",
    inputs: [logitsText, targetsText],
    result: "f32: the logits without the axis, in nats",
  },
  arity: { min: 2, max: 2 },
  infer: ([logits, targets], { axis }) => perPosition(logits!, targets!, axis),
  meaning: {
    tag: "definition",
    define: (builder, [logits, targets], { axis }) => {
      const x = inF32(builder, logits!);
      const zero = builder.constant(0);
      const maximum = builder.add("reduceMax", [x], { axis });
      const shifted = builder.add("exp", [builder.add("sub", [x, maximum], {})], {});
      const logOfSum = builder.add("log", [builder.add("reduceSum", [shifted], { axis })], {});
      const picked = builder.add("select", [isTarget(builder, x, targets!, axis), x, zero], {});
      // The largest is taken off the target first: the difference of two large numbers would lose digits.
      const target = builder.add("sub", [builder.add("reduceSum", [picked], { axis }), maximum], {});
      const loss = builder.add("sub", [logOfSum, target], {});
      return builder.add("select", [counts(builder, targets!), loss, zero], {});
    },
  },
  vjp: crossEntropyVjp,
  cost: { perResult: 20, perInput: 10 },
  fusion: "reduce",
};

const crossEntropyGradient: OpDefinition<"crossEntropyGradient"> = {
  name: "crossEntropyGradient",
  category: "composite",
  documentation: {
    summary: "the cotangent of the logits of `crossEntropy`: (softmax(logits) - 1 at the target) * cotangent",
    inputs: [logitsText, targetsText, "cotangent: f32, one per position"],
    result: "f32, like the logits; 0 where the target is masked",
  },
  arity: { min: 3, max: 3 },
  infer: ([logits, targets, cotangent], { axis }) => {
    const type = perPosition(logits!, targets!, axis);
    if (typeof type === "string") return type;
    return cotangent!.dtype === "f32" && sameAxes(cotangent!.axes, type.axes)
      ? like(logits!)
      : `the cotangent must be ${formatType(type)}`;
  },
  meaning: {
    tag: "definition",
    define: (builder, [logits, targets, cotangent], { axis }) => {
      const zero = builder.constant(0);
      const weights = builder.add("softmax", [inF32(builder, logits!)], { axis });
      const hit = builder.add("cast", [isTarget(builder, logits!, targets!, axis)], { dtype: "f32" });
      const change = builder.add("select", [counts(builder, targets!), cotangent!, zero], {});
      return builder.add("mul", [builder.add("sub", [weights, hit], {}), change], {});
    },
  },
  vjp: byDefinition,
  cost: { perResult: 15, perInput: 0 },
  fusion: "reduce",
};

const meanCrossEntropy: OpDefinition<"meanCrossEntropy"> = {
  name: "meanCrossEntropy",
  category: "composite",
  documentation: {
    summary: "the mean of `crossEntropy` over the positions that are not masked; 0 where all are",
    inputs: [logitsText, targetsText],
    result: "f32: the logits without the axis and without those that the mean is over, in nats",
  },
  arity: { min: 2, max: 2 },
  infer: ([logits, targets], { axis, over }) => {
    const type = perPosition(logits!, targets!, axis);
    if (typeof type === "string") return type;
    if (over.length === 0 || new Set(over).size < over.length) return "needs one or more axes, each once";
    const missing = over.find((name) => findAxis(type, name) === undefined);
    return missing === undefined
      ? { dtype: "f32", axes: withoutAxes(type, over) }
      : missingAxis(type, missing);
  },
  meaning: {
    tag: "definition",
    define: (builder, [logits, targets], { axis, over }) => {
      const sum = (x: NodeId) => over.reduce((id, name) => builder.add("reduceSum", [id], { axis: name }), x);
      const total = sum(builder.add("crossEntropy", [logits!, targets!], { axis }));
      const count = sum(builder.add("cast", [counts(builder, targets!)], { dtype: "f32" }));
      return builder.add("div", [total, builder.add("max", [count, builder.constant(1)], {})], {});
    },
  },
  vjp: byDefinition,
  cost: { perResult: 2, perInput: 10 },
  fusion: "reduce",
};

export const crossEntropyOps = { crossEntropy, crossEntropyGradient, meanCrossEntropy };
