/** A topological order of groups: earliest node first among those that are ready, so that dumps read in model order. */
import { internalProblem, type NodeId, WeftError } from "@weft/dsl";
import { topologicalOrder } from "./topological.ts";
import { type FusedGroup, nodesOf } from "./types.ts";

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
  const depend = (group: number, id: NodeId, seen: Set<NodeId>) => {
    if (seen.has(id)) return;
    seen.add(id);
    const other = groupOf[id]!;
    if (other === -1) for (const before of waits[id]!) depend(group, before, seen);
    else if (other !== group) waitsFor[group]!.add(other);
  };
  groups.forEach((group, index) => {
    const seen = new Set<NodeId>();
    for (const id of nodesOf(group)) for (const before of waits[id]!) depend(index, before, seen);
  });
  const first = groups.map((group) => Math.min(...nodesOf(group)));
  const order = topologicalOrder(waitsFor, (group) => first[group]!);
  if (order.length !== groups.length) {
    throw new WeftError([internalProblem("fuse", "groups must not wait for each other in a circle")]);
  }
  return order;
}
