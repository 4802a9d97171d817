/**
 * simplify: small rules, each with the algebra as its name. Equal nodes are shared by the builder itself, nodes that
 * nothing needs are dropped by the rewriter.
 */
import {
  type BinaryFunction,
  constantValue,
  evaluateBinary,
  evaluateUnary,
  findAxis,
  type GraphBuilder,
  type GraphNode,
  inferType,
  isBinaryFunction,
  isUnaryFunction,
  type NodeId,
  opTable,
  typeEquals,
} from "@weft/dsl";
import type { Pass } from "./pass.ts";
import { placeOf } from "./pass.ts";
import { attributesOf, copyNode, rewriteGraph } from "./rewrite.ts";

interface Rule {
  readonly name: string;
  /** The node that replaces one of this op over these inputs, or undefined where the rule does not apply. */
  readonly apply: (builder: GraphBuilder, node: GraphNode, inputs: readonly NodeId[]) => NodeId | undefined;
}

function constantOf(builder: GraphBuilder, id: NodeId): number | undefined {
  const node = builder.node(id);
  return node.op === "constant" && node.type.dtype === "f32"
    ? constantValue(attributesOf(node, "constant").value)
    : undefined;
}

/** A neutral operand may go when the other side already has the type of the result. */
function withoutNeutral(op: BinaryFunction, neutral: number, sides: readonly (0 | 1)[]): Rule["apply"] {
  return (builder, node, inputs) => {
    if (node.op !== op) return undefined;
    for (const side of sides) {
      const other = inputs[1 - side]!;
      if (constantOf(builder, inputs[side]!) === neutral && typeEquals(builder.type(other), node.type))
        return other;
    }
    return undefined;
  };
}

const rules: readonly Rule[] = [
  { name: "x + 0 = x", apply: withoutNeutral("add", 0, [0, 1]) },
  { name: "x - 0 = x", apply: withoutNeutral("sub", 0, [1]) },
  { name: "x * 1 = x", apply: withoutNeutral("mul", 1, [0, 1]) },
  { name: "x / 1 = x", apply: withoutNeutral("div", 1, [1]) },
  {
    name: "-(-x) = x",
    apply: (builder, node, [x]) =>
      node.op === "neg" && builder.node(x!).op === "neg" ? builder.node(x!).inputs[0] : undefined,
  },
  {
    name: "cast to the same dtype",
    apply: (builder, node, [x]) =>
      node.op === "cast" && builder.type(x!).dtype === node.type.dtype ? x : undefined,
  },
  {
    name: "widening and back is nothing",
    apply: (builder, node, [x]) => {
      if (node.op !== "cast") return undefined;
      const inner = builder.node(x!);
      if (inner.op !== "cast" || inner.type.dtype !== "f32") return undefined;
      const source = builder.type(inner.inputs[0]!).dtype;
      const exact = source === "bf16" || source === "f16";
      return exact && source === node.type.dtype ? inner.inputs[0] : undefined;
    },
  },
  {
    name: "constants are computed now",
    apply: (builder, node, inputs) => {
      if (node.type.dtype !== "f32" || inputs.length === 0) return undefined;
      const values = inputs.map((id) => constantOf(builder, id));
      if (values.some((value) => value === undefined)) return undefined;
      if (isUnaryFunction(node.op)) return builder.constant(evaluateUnary(node.op, values[0]!));
      if (isBinaryFunction(node.op)) return builder.constant(evaluateBinary(node.op, values[0]!, values[1]!));
      return undefined;
    },
  },
  {
    name: "a view that changes nothing",
    apply: (builder, node, inputs) => {
      if (inputs.length === 0) return undefined;
      const type = builder.type(inputs[0]!);
      switch (node.op) {
        case "rename": {
          const { from, to } = attributesOf(node, "rename");
          return from === to ? inputs[0] : undefined;
        }
        case "slice": {
          const { axis, size } = attributesOf(node, "slice");
          return findAxis(type, axis)?.size === size ? inputs[0] : undefined;
        }
        case "last": {
          const { axis } = attributesOf(node, "last");
          return findAxis(type, axis)?.size === 1 ? inputs[0] : undefined;
        }
        case "concat":
          return inputs.length === 1 ? inputs[0] : undefined;
        case "broadcast":
          return typeEquals(type, node.type) ? inputs[0] : undefined;
        case "splitAxis": {
          const { axis, into } = attributesOf(node, "splitAxis");
          return into.length === 1 && into[0]!.name === axis ? inputs[0] : undefined;
        }
        default:
          return undefined;
      }
    },
  },
  {
    name: "a broadcast of a broadcast is one",
    apply: (builder, node, [x]) => {
      if (node.op !== "broadcast" || builder.node(x!).op !== "broadcast") return undefined;
      const source = builder.node(x!).inputs[0]!;
      return typeEquals(builder.type(source), node.type)
        ? source
        : builder.add("broadcast", [source], attributesOf(node, "broadcast"));
    },
  },
  {
    name: "a slice of a join is the part",
    apply: (builder, node, [x]) => {
      if (node.op !== "slice" || builder.node(x!).op !== "concat") return undefined;
      const { axis, start, size } = attributesOf(node, "slice");
      if (attributesOf(builder.node(x!), "concat").axis !== axis) return undefined;
      let at = 0;
      for (const part of builder.node(x!).inputs) {
        const own = findAxis(builder.type(part), axis)!.size as number;
        if (at === start && own === size) return part;
        at += own;
      }
      return undefined;
    },
  },
  {
    name: "rename after rename is one rename",
    apply: (builder, node, [x]) => {
      if (node.op !== "rename" || builder.node(x!).op !== "rename") return undefined;
      const [inner, outer] = [attributesOf(builder.node(x!), "rename"), attributesOf(node, "rename")];
      if (inner.to !== outer.from) return undefined;
      const source = builder.node(x!).inputs[0]!;
      return inner.from === outer.to
        ? source
        : builder.add("rename", [source], { from: inner.from, to: outer.to });
    },
  },
];

/** Pointwise ops match axes by name: an input is not repeated or ordered before where the result stays the same. */
function withoutBroadcasts(
  builder: GraphBuilder,
  node: GraphNode,
  inputs: readonly NodeId[],
): readonly NodeId[] {
  if (opTable[node.op].category !== "pointwise") return inputs;
  let plain = inputs;
  for (const [at, id] of inputs.entries()) {
    if (builder.node(id).op !== "broadcast") continue;
    const trial = plain.map((other, index) => (index === at ? builder.node(id).inputs[0]! : other));
    const types = trial.map((other) => builder.type(other));
    if (typeEquals(inferType(node.op, types, node.attributes as never, node.origin), node.type))
      plain = trial;
  }
  return plain;
}

export function simplify(): Pass {
  return {
    name: "simplify",
    summary: "algebra that changes no value, equal nodes shared, unneeded nodes dropped",
    run: (graph, log) =>
      rewriteGraph(graph, (builder, node, given) => {
        const inputs = withoutBroadcasts(builder, node, given);
        if (inputs !== given) log.fired("a pointwise op broadcasts by itself", placeOf(node));
        for (const rule of rules) {
          const replaced = rule.apply(builder, node, inputs);
          if (replaced !== undefined) {
            log.fired(rule.name, placeOf(node));
            return replaced;
          }
        }
        return inputs === given ? undefined : copyNode(builder, node, inputs);
      }),
  };
}
