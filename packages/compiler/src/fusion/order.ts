/** A topological order of groups: earliest node first among those that are ready, so that dumps read in model order. */
import { internalProblem, type NodeId, WeftError } from "@weft/dsl";
import { topologicalOrder } from "./topological.ts";
import { type FusedGroup, firstNodeOf, nodesOf } from "./types.ts";

/**
 * @param waits for each node, the nodes that must be computed before it: its inputs, and what states ask for.
 * @param groupOf for each node its group; -1: it is computed where it is used, or not at all.
 */
export function orderGroups(
  waits: readonly (readonly NodeId[])[],
  groups: readonly FusedGroup[],
  groupOf: Int32Array,
): number[] {
  const waitsFor = groups.map(() => new Set<number>());
  groups.forEach((group, index) => {
    // What is computed where it is used stands for what it waits for; such nodes may be a long chain.
    const seen = new Set(nodesOf(group).flatMap((id) => waits[id]!));
    for (const id of seen) {
      const other = groupOf[id]!;
      if (other === -1) for (const before of waits[id]!) seen.add(before);
      else if (other !== index) waitsFor[index]!.add(other);
    }
  });
  const first = groups.map(firstNodeOf);
  const order = topologicalOrder(waitsFor, (group) => first[group]!);
  if (order.length !== groups.length) {
    throw new WeftError([internalProblem("fuse", "groups must not wait for each other in a circle")]);
  }
  return order;
}
