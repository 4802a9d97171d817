/** Derivatives of composites that are shorter, or sounder in f32, than what their definitions would give. */
import { maxSize } from "../../axis.ts";
import type { NodeId } from "../../graph/types.ts";
import { contractedName } from "../composite/common.ts";
import type { Vjp } from "../define.ts";
import { findAxis } from "../shape.ts";
import { Arithmetic } from "./common.ts";

/** dx = dy W, dW = dy^T x, db = dy summed over the rows. */
export const linearVjp: Vjp<"linear"> = {
  tag: "rule",
  rule: ({ builder, inputs: [x, weight], attributes: { from, to }, cotangent, needed }) => {
    const m = new Arithmetic(builder);
    const rename = (of: NodeId, back: boolean) =>
      from.reduce((id, name) => {
        const other = contractedName(name, to);
        const [before, after] = back ? [other, name] : [name, other];
        return other === name ? id : builder.add("rename", [id], { from: before, to: after });
      }, of);
    const rows = builder.type(x!).axes.flatMap((one) => (from.includes(one.name) ? [] : [one.name]));
    return [
      needed[0] ? rename(m.contract(cotangent, weight!, to), true) : undefined,
      needed[1] ? m.contract(cotangent, rename(x!, false), rows) : undefined,
      // Summed over the axes that the bias lacks.
      needed[2] ? cotangent : undefined,
    ];
  },
};

export const embeddingVjp: Vjp<"embedding"> = {
  tag: "rule",
  rule: ({ builder, inputs: [indices, weight], attributes, cotangent }) => {
    const axis = findAxis(builder.type(weight!), attributes.axis)!;
    return [undefined, builder.add("scatterAdd", [cotangent, indices!], { axis })];
  },
};

/** With r = 1 / sqrt(mean(x^2) + epsilon) and g = dy * weight: dx = r (g - x r^2 mean(g x)), dweight = dy x r. */
export const rmsNormVjp: Vjp<"rmsNorm"> = {
  tag: "rule",
  rule: ({ builder, inputs, attributes: { axis, epsilon }, cotangent, needed }) => {
    const m = new Arithmetic(builder);
    const [x, weight] = [m.value(inputs[0]!), m.value(inputs[1]!)];
    const share = m.number(1 / maxSize(findAxis(builder.type(x), axis)!.size));
    const mean = m.mul(m.sum(m.mul(x, x), axis), share);
    const r = m.unary("rsqrt", m.add(mean, m.number(epsilon)));
    const g = m.mul(cotangent, weight);
    const along = () => m.mul(m.mul(r, r), m.mul(m.sum(m.mul(g, x), axis), share));
    return [
      needed[0] ? m.mul(m.sub(g, m.mul(x, along())), r) : undefined,
      needed[1] ? m.mul(cotangent, m.mul(x, r)) : undefined,
    ];
  },
};

/** dx = y (dy - sum(dy y)): the maximum that the definition subtracts has no part in it. */
export const softmaxVjp: Vjp<"softmax"> = {
  tag: "rule",
  rule: ({ builder, attributes: { axis }, result, cotangent }) => {
    const m = new Arithmetic(builder);
    return [m.mul(result, m.sub(cotangent, m.sum(m.mul(cotangent, result), axis)))];
  },
};

/** With s = sigmoid(x): dx = dy s (1 + x (1 - s)). */
export const siluVjp: Vjp<"silu"> = {
  tag: "rule",
  rule: ({ builder, inputs: [x], cotangent }) => {
    const m = new Arithmetic(builder);
    const s = m.unary("sigmoid", x!);
    const one = m.number(1);
    return [m.mul(cotangent, m.mul(s, m.add(one, m.mul(x!, m.sub(one, s)))))];
  },
};

/** A rotation goes back by the opposite angle, and the angle is the position's. */
export const ropeVjp: Vjp<"rope"> = {
  tag: "rule",
  rule: ({ builder, inputs: [, position], attributes, cotangent }) => {
    const back = builder.add("sub", [builder.constant(0, "i32"), position!], {});
    return [builder.add("rope", [cotangent, back], attributes), undefined];
  },
};

/**
 * One node gives the cotangents of q, k and v together, as one kernel would, and its parts are views. What the forward
 * pass has to keep for it is in the graph as values: the result, and the logarithm of each softmax's sum.
 */
export const attendVjp: Vjp<"attend"> = {
  tag: "rule",
  rule: ({ builder, inputs, attributes, result, cotangent, needed }) => {
    const { keys, ...rest } = attributes;
    if (keys !== undefined) return "attention over a cache has no gradient: train without kvCache";
    const [q, k, v, index, ...starts] = inputs;
    const logSumExp = builder.add("attendLogSumExp", [q!, k!, index!, ...starts], rest);
    const together = builder.add(
      "attendGradient",
      [q!, k!, v!, index!, result, logSumExp, cotangent, ...starts],
      rest,
    );
    const { heads, kvHeads } = rest;
    const [own, shared] = [
      findAxis(builder.type(q!), heads)!.size as number,
      findAxis(builder.type(k!), kvHeads)!.size as number,
    ];
    const part = (start: number, size: number, name: string) => {
      const cut = builder.add("slice", [together], { axis: heads, start, size });
      return name === heads ? cut : builder.add("rename", [cut], { from: heads, to: name });
    };
    return [
      needed[0] ? part(0, own, heads) : undefined,
      needed[1] ? part(own, shared, kvHeads) : undefined,
      needed[2] ? part(own + shared, shared, kvHeads) : undefined,
    ];
  },
};

export const crossEntropyVjp: Vjp<"crossEntropy"> = {
  tag: "rule",
  rule: ({ builder, inputs: [logits, targets], attributes, cotangent }) => [
    builder.add("crossEntropyGradient", [logits!, targets!, cotangent], attributes),
    undefined,
  ],
};
