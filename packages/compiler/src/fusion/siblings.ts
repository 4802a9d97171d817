/**
 * Row programs over the same space that read the same stored value become one: the value is read once. They are found
 * when all have grown, so that no program loses what it would have computed for itself.
 */
import type { NodeId } from "@weft/dsl";
import type { Growth } from "./grow.ts";
import { sameSpace } from "./legality.ts";
import type { FusedGroup, FusedRows } from "./types.ts";

/** Joins what can be joined, in place: groups that were taken into another one are left out of the result. */
export function joinSiblings(growth: Growth, groups: readonly FusedGroup[]): FusedGroup[] {
  const joined = [...groups] as (FusedGroup | undefined)[];
  joined.forEach((one, at) => {
    if (one?.kind !== "rows") return;
    for (let next = at + 1; next < joined.length; next++) {
      const [own, other] = [joined[at], joined[next]];
      if (own?.kind !== "rows" || other?.kind !== "rows" || !areSiblings(growth, own, other)) continue;
      growth.partition.extend(at, other.nodes);
      joined[at] = { ...own, nodes: new Set([...own.nodes, ...other.nodes]) };
      joined[next] = undefined;
    }
  });
  return joined.filter((one) => one !== undefined);
}

function areSiblings({ context, partition }: Growth, a: FusedRows, b: FusedRows): boolean {
  if (!sameSpace(a.space, b.space)) return false;
  const [ofA, ofB] = [storedInputs(context, a), storedInputs(context, b)];
  // A number that many programs read (a scale, a norm) is no reason: together they would be one kernel without end.
  const isLong = (id: NodeId) => {
    const { axes } = context.graph.nodes[id]!.type;
    return axes.length > 0 && a.space.row.every(({ name }) => axes.some((one) => one.name === name));
  };
  if (![...ofA].some((id) => ofB.has(id) && isLong(id))) return false;
  // Neither may read what the other writes.
  if ([...ofA].some((id) => b.nodes.has(id)) || [...ofB].some((id) => a.nodes.has(id))) return false;
  return partition.refuseTogether(new Set([...a.nodes, ...b.nodes])) === undefined;
}

/** Values of other kernels that a row program reads from memory; weights and inputs are no reason to join. */
function storedInputs({ graph, classified }: Growth["context"], { nodes }: FusedRows): Set<NodeId> {
  const bases = new Set<NodeId>();
  for (const id of nodes) {
    for (const input of graph.nodes[id]!.inputs) {
      const base = nodes.has(input) ? undefined : classified.views[input]?.base;
      if (base !== undefined && classified.kinds[base] !== "leaf") bases.add(base);
    }
  }
  return bases;
}
