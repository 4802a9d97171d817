/** Derivatives of the ops that move, reduce and contract axes. */
import type { GraphBuilder } from "../../graph/builder.ts";
import type { NodeId } from "../../graph/types.ts";
import type { Vjp } from "../define.ts";
import { findAxis } from "../shape.ts";
import { Arithmetic } from "./common.ts";

/** The input gets the cotangent as it is; the axes are made to fit afterwards. */
export const passOn = {
  tag: "rule",
  rule: ({ cotangent }: { readonly cotangent: NodeId }): readonly NodeId[] => [cotangent],
} as const;

/** Equal largest elements share the cotangent evenly. */
export const reduceMaxVjp: Vjp<"reduceMax"> = {
  tag: "rule",
  rule: ({ builder, inputs: [x], attributes: { axis }, result, cotangent }) => {
    const m = new Arithmetic(builder);
    const largest = m.select(m.binary("equal", x!, result), m.number(1), m.number(0));
    return [m.mul(largest, m.binary("div", cotangent, m.sum(largest, axis)))];
  },
};

/** The cotangents of the values go back to where the indices say they came from; the indices have none. */
export const topKVjp: Vjp<"topK"> = {
  tag: "rule",
  rule: ({ builder, inputs: [x], attributes: { axis, into }, result, cotangent }) => {
    const m = new Arithmetic(builder);
    const pair = "valueAndIndex";
    const part = (of: NodeId, start: number) =>
      m.sum(builder.add("slice", [of], { axis: pair, start, size: 1 }), pair);
    const places = builder.add("iota", [], { axis: findAxis(builder.type(x!), axis)! });
    const hit = m.binary("equal", m.value(places), part(result, 1));
    return [m.sum(m.select(hit, part(cotangent, 0), m.number(0)), into)];
  },
};

/** da = sum of dy * b over the axes that b added; they are contracted axes and what only b has. */
export const dotVjp: Vjp<"dot"> = {
  tag: "rule",
  rule: ({ builder, inputs, cotangent, needed }) => {
    const m = new Arithmetic(builder);
    const names = inputs.map((id) => builder.type(id).axes.map((one) => one.name));
    return [0, 1].map((side) => {
      if (!needed[side]) return undefined;
      const added = names[1 - side]!.filter((name) => !names[side]!.includes(name));
      return m.contract(cotangent, inputs[1 - side]!, added);
    });
  },
};

export const gatherVjp: Vjp<"gather"> = {
  tag: "rule",
  rule: ({ builder, inputs: [table, indices], attributes, cotangent }) => {
    const axis = findAxis(builder.type(table!), attributes.axis)!;
    return [builder.add("scatterAdd", [cotangent, indices!], { axis }), undefined];
  },
};

export const scatterAddVjp: Vjp<"scatterAdd"> = {
  tag: "rule",
  rule: ({ builder, inputs, attributes, cotangent }) => [
    builder.add("gather", [cotangent, inputs[1]!], { axis: attributes.axis.name }),
    undefined,
  ],
};

/** Only the first input is what the result is. */
export const afterVjp = {
  tag: "rule",
  rule: ({ cotangent }: { readonly cotangent: NodeId }): readonly (NodeId | undefined)[] => [
    cotangent,
    undefined,
  ],
} as const;

export const renameVjp: Vjp<"rename"> = {
  tag: "rule",
  rule: ({ builder, attributes: { from, to }, cotangent }) => [
    builder.add("rename", [cotangent], { from: to, to: from }),
  ],
};

export const splitAxisVjp: Vjp<"splitAxis"> = {
  tag: "rule",
  rule: ({ builder, attributes: { axis, into }, cotangent }) => [
    builder.add("mergeAxes", [cotangent], { axes: into.map((one) => one.name), into: axis }),
  ],
};

export const mergeAxesVjp: Vjp<"mergeAxes"> = {
  tag: "rule",
  rule: ({ builder, inputs: [x], attributes: { axes, into }, cotangent }) => {
    const parts = axes.map((name) => findAxis(builder.type(x!), name)!);
    return [builder.add("splitAxis", [cotangent], { axis: into, into: parts })];
  },
};

/** Zeros stand where the slice was not. */
export const sliceVjp: Vjp<"slice"> = {
  tag: "rule",
  rule: ({ builder, inputs: [x], attributes: { axis, start, size }, cotangent }) => {
    const whole = findAxis(builder.type(x!), axis)!.size as number;
    const parts = [
      ...zerosAlong(builder, cotangent, axis, start),
      cotangent,
      ...zerosAlong(builder, cotangent, axis, whole - start - size),
    ];
    return [parts.length === 1 ? cotangent : builder.add("concat", parts, { axis })];
  },
};

function zerosAlong(builder: GraphBuilder, like: NodeId, axis: string, size: number): NodeId[] {
  if (size === 0) return [];
  const axes = builder.type(like).axes.map((one) => (one.name === axis ? { name: axis, size } : one));
  return [builder.add("broadcast", [builder.constant(0)], { axes })];
}

export const concatVjp: Vjp<"concat"> = {
  tag: "rule",
  rule: ({ builder, inputs, attributes: { axis }, cotangent, needed }) => {
    let start = 0;
    return inputs.map((input, index) => {
      const size = findAxis(builder.type(input), axis)!.size as number;
      start += size;
      if (!needed[index]) return undefined;
      return builder.add("slice", [cotangent], { axis, start: start - size, size });
    });
  },
};

/** The axis may have a symbolic size, which a join of parts cannot say: the last place is told by its index. */
export const lastVjp: Vjp<"last"> = {
  tag: "rule",
  rule: ({ builder, inputs: [x], attributes: { axis }, cotangent }) => {
    const m = new Arithmetic(builder);
    const along = findAxis(builder.type(x!), axis)!;
    const one = builder.constant(1, "i32");
    const end =
      typeof along.size === "number"
        ? builder.constant(along.size - 1, "i32")
        : builder.add("sub", [builder.add("symbol", [], { name: along.size.symbol }), one], {});
    const isLast = builder.add("equal", [builder.add("iota", [], { axis: along }), end], {});
    return [m.select(isLast, m.sum(cotangent, axis), m.number(0))];
  },
};
