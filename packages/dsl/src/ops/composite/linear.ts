/** Weights at work: products with a matrix, rows of a table. */
import { maxSize } from "../../axis.ts";
import type { OpDefinition } from "../define.ts";
import {
  duplicateAxis,
  findAxis,
  formatType,
  holdsFloats,
  isFloat,
  missingAxis,
  withoutAxes,
} from "../shape.ts";
import { embeddingVjp, linearVjp } from "../vjp/composite.ts";
import { contractedName, floats, inF32, sameAxes } from "./common.ts";

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
    if (![x!, bias ?? x!].every((one) => isFloat(one.dtype)) || !holdsFloats(weight!.dtype)) return floats;
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
  vjp: linearVjp,
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
    if (!holdsFloats(weight!.dtype)) return "the weight must be a float tensor";
    const axes = [...indices!.axes, ...withoutAxes(weight!, [axis])];
    const twice = duplicateAxis(axes);
    return twice === undefined ? { dtype: "f32", axes } : `axis "${twice}" must not be in both inputs`;
  },
  meaning: {
    tag: "definition",
    define: (builder, [indices, weight], { axis }) =>
      inF32(builder, builder.add("gather", [weight!, indices!], { axis })),
  },
  vjp: embeddingVjp,
  cost: { perResult: 0, perInput: 0 },
  fusion: "map",
};

export const linearOps = { linear, embedding };
