/** Integer index arithmetic as sums of symbols: `past + i` is one number and one axis, not a tensor. */
import { constantValue, type Graph, type GraphNode, type NodeId } from "@weft/dsl";
import { attributesOf } from "../passes/rewrite.ts";
import { addSums, constantSum, type SymbolicSum, scaleSum, sumOf } from "./affine.ts";

export interface IndexExpression {
  /** The axis whose index is added, if any. */
  readonly axis: string | undefined;
  readonly offset: SymbolicSum;
}

/** The node as `index along one axis + sum of symbols`, or undefined where it is something else. */
export function indexExpression(graph: Graph, id: NodeId): IndexExpression | undefined {
  return indexExpressionOf((other) => graph.nodes[other]!, id);
}

/** The same over nodes that are still being built. */
export function indexExpressionOf(
  nodeAt: (id: NodeId) => GraphNode,
  id: NodeId,
): IndexExpression | undefined {
  const node = nodeAt(id);
  const of = (position: number) => indexExpressionOf(nodeAt, node.inputs[position]!);
  switch (node.op) {
    case "iota":
      return { axis: attributesOf(node, "iota").axis.name, offset: constantSum(0) };
    case "symbol":
      return {
        axis: undefined,
        offset: { constant: 0, terms: new Map([[attributesOf(node, "symbol").name, 1]]) },
      };
    case "constant": {
      const value = constantValue(attributesOf(node, "constant").value);
      return Number.isInteger(value) ? { axis: undefined, offset: constantSum(value) } : undefined;
    }
    case "cast":
      return node.type.dtype === "f32" || node.type.dtype === "i32" ? of(0) : undefined;
    case "add": {
      const [a, b] = [of(0), of(1)];
      if (a === undefined || b === undefined || (a.axis !== undefined && b.axis !== undefined))
        return undefined;
      return { axis: a.axis ?? b.axis, offset: addSums(a.offset, b.offset) };
    }
    case "sub": {
      const [a, b] = [of(0), of(1)];
      if (a === undefined || b === undefined || b.axis !== undefined) return undefined;
      return { axis: a.axis, offset: addSums(a.offset, scaleSum(b.offset, -1)) };
    }
    case "last": {
      const inner = of(0);
      const { axis } = attributesOf(node, "last");
      if (inner === undefined || inner.axis !== axis) return inner;
      const size = nodeAt(node.inputs[0]!).type.axes.find((one) => one.name === axis)!.size;
      return { axis: undefined, offset: addSums(inner.offset, addSums(sumOf(size), constantSum(-1))) };
    }
    default:
      return undefined;
  }
}
