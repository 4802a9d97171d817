/**
 * Row programs over the same space that read the same stored value become one: the value is read once. They are found
 * when all have grown, so that no program loses what it would have computed for itself.
 */
import type { NodeId } from "@weft/dsl";
import type { Growth } from "./grow.ts";
import { isFull, isTooLarge } from "./kernel-size.ts";
import { sameSpace } from "./legality.ts";
import type { FusedGroup, FusedRows } from "./types.ts";

/** Joins what can be joined, in place: groups that were taken into another one are left out of the result. */
export function joinSiblings(growth: Growth, groups: readonly FusedGroup[]): FusedGroup[] {
  const { context, partition } = growth;
  const joined = [...groups] as (FusedGroup | undefined)[];
  const reads = groups.map((one) => (one.kind === "rows" ? storedInputs(context, one) : new Set<NodeId>()));
  const readers = readersOf(reads);
  joined.forEach((one, at) => {
    if (one?.kind !== "rows") return;
    let own = one;
    const following = (behind: number) => firstReader(context, own, reads[at]!, readers, behind);
    for (let next = following(at); next < joined.length; next = following(next)) {
      const other = joined[next];
      if (other?.kind !== "rows" || !sameSpace(own.space, other.space)) continue;
      if (!canJoin(growth, own, other, reads[at]!, reads[next]!)) {
        if (isFull(context, own.nodes)) break;
        continue;
      }
      partition.extend(at, other.nodes);
      own = { ...own, nodes: new Set([...own.nodes, ...other.nodes]) };
      reads[at] = storedInputs(context, own);
      joined[at] = own;
      joined[next] = undefined;
    }
  });
  return joined.filter((one) => one !== undefined);
}

/** For each stored value the groups that read it, in ascending order. */
function readersOf(reads: readonly ReadonlySet<NodeId>[]): ReadonlyMap<NodeId, readonly number[]> {
  const readers = new Map<NodeId, number[]>();
  reads.forEach((ids, group) => {
    for (const id of ids) {
      const known = readers.get(id);
      if (known === undefined) readers.set(id, [group]);
      else known.push(group);
    }
  });
  return readers;
}

/**
 * The first group behind another one that reads a long value that `own` reads as well; infinity where there is none. A
 * number that many programs read (a scale, a norm) is no reason: together they would be one kernel without end.
 */
function firstReader(
  { graph }: Growth["context"],
  { space }: FusedRows,
  reads: ReadonlySet<NodeId>,
  readers: ReadonlyMap<NodeId, readonly number[]>,
  behind: number,
): number {
  let first = Number.POSITIVE_INFINITY;
  for (const id of reads) {
    const { axes } = graph.nodes[id]!.type;
    const isLong = axes.length > 0 && space.row.every(({ name }) => axes.some((one) => one.name === name));
    if (isLong) first = Math.min(first, firstAbove(readers.get(id) ?? [], behind));
  }
  return first;
}

/** The first of some ascending numbers that is larger than `bound`. */
function firstAbove(numbers: readonly number[], bound: number): number {
  let [low, high] = [0, numbers.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numbers[middle]! <= bound) low = middle + 1;
    else high = middle;
  }
  return numbers[low] ?? Number.POSITIVE_INFINITY;
}

/** Neither may read what the other writes, nor wait for what waits for the other. */
function canJoin(
  { context, partition }: Growth,
  a: FusedRows,
  b: FusedRows,
  ofA: ReadonlySet<NodeId>,
  ofB: ReadonlySet<NodeId>,
): boolean {
  if ([...ofA].some((id) => b.nodes.has(id)) || [...ofB].some((id) => a.nodes.has(id))) return false;
  const together = new Set([...a.nodes, ...b.nodes]);
  return !isTooLarge(context, together) && partition.refuseTogether(together) === undefined;
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
