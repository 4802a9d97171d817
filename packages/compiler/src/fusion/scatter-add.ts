/**
 * A table that is looked up and also multiplied with has two gradients: sparse rows that are added up, and a dense
 * product. Adding the rows onto the product spares a table of zeros and a pass over both.
 */
import type { NodeId } from "@weft/dsl";
import { type Growth, isPrivate } from "./grow.ts";
import { isContiguous } from "./view.ts";

/** The `add` that is the only reader of a `scatterAdd`, where the other operand lies in memory as the sums would. */
export function sumBehind({ context, partition, refuse }: Growth, id: NodeId): NodeId | undefined {
  const { graph, classified, consumers } = context;
  const [reader] = consumers[id]!;
  const sum = graph.nodes[reader ?? id]!;
  if (sum.op !== "add" || !isPrivate(context, id, new Set([sum.id]))) return undefined;
  const refused = (reason: string) => void refuse("scatterAdd onto", sum.id, id, reason);
  const other = sum.inputs.find((input) => input !== id);
  if (other === undefined) return refused("both operands are the sums");
  const { type } = graph.nodes[other]!;
  const axes = graph.nodes[id]!.type.axes;
  const fits =
    type.dtype === "f32" &&
    type.axes.length === axes.length &&
    type.axes.every((one, at) => one.name === axes[at]!.name);
  if (!fits) return refused("the other operand has other axes");
  const view = classified.views[other];
  if (view === undefined) return refused("the other operand is index arithmetic");
  if (!isContiguous(view, axes)) return refused("the other operand does not lie as the sums would");
  const unordered = partition.refuseTogether(new Set([id, sum.id]));
  return unordered === undefined ? sum.id : refused(unordered);
}
