/**
 * A state's new value is written by the kernel that computes it, over the old one that the same kernel reads. When:
 *
 * 1. the value is computed in a row program that reads the state, and nobody else writes the state;
 * 2. that program reads every element just where it writes it, so that no row needs what another has overwritten;
 * 3. all its long results are as long as its rows: results of another length come from a pass of their own, which would
 *    read what the first pass wrote;
 * 4. whoever else reads the old value can do so before.
 *
 * Blocks of nvfp4, and single numbers, are written by what makes them where that does not read the state.
 *
 * Otherwise the value is stored as any other, and a copy writes the state.
 */
import { type GraphNode, type NodeId, typeEquals } from "@weft/dsl";
import { placeOf } from "../passes/pass.ts";
import { rowAxisOfView } from "./classify.ts";
import type { Growth } from "./grow.ts";
import type { FusedGroup, FusedRows } from "./types.ts";
import { contiguousStrides } from "./view.ts";

const stateOf = ({ attributes }: GraphNode) => (attributes as { readonly state?: string }).state;

/** The read that a write updates: the only other op on the state, of the whole state. */
export function readBeforeUpdate(growth: Growth, write: GraphNode): GraphNode | undefined {
  if (write.op !== "stateWrite") return undefined;
  const { graph, classified } = growth.context;
  const others = graph.nodes.filter((one) => one !== write && stateOf(one) === stateOf(write));
  const [read] = others;
  const kind = classified.kinds[write.inputs[0]!];
  const isUpdate = others.length === 1 && read?.op === "stateRead" && read.id < write.id;
  return isUpdate && (kind === "map" || kind === "reduce") ? read : undefined;
}

/**
 * Blocks are stored by what makes them and nowhere else; single numbers may be, and no copy is worth a kernel. Who else
 * reads the old value comes before, by the order that states ask for.
 */
export function isWrittenWhereMade(growth: Growth, { op, inputs }: GraphNode): boolean {
  if (op !== "stateWrite") return false;
  const { graph, classified } = growth.context;
  const value = graph.nodes[inputs[0]!]!;
  if (value.op === "quantizeNvfp4") return true;
  const kind = classified.kinds[value.id];
  return value.type.axes.length === 0 && (kind === "map" || kind === "reduce");
}

/** Adds the write to the group that computes its value. @returns whether it fits there. */
export function joinUpdate(
  growth: Growth,
  groups: readonly FusedGroup[],
  write: GraphNode,
  read: GraphNode | undefined,
): boolean {
  const index = growth.partition.groupOf[write.inputs[0]!]!;
  const group = groups[index];
  if (group?.kind !== "rows") return false;
  const updates = read !== undefined ? refuseUpdate(growth, group, write, read) : "the state is not read";
  const reason =
    updates !== undefined && isWrittenWhereMade(growth, write) ? refuseWrite(growth, group, write) : updates;
  if (reason !== undefined) {
    growth.refuse("update in place", placeOf(write), reason);
    return false;
  }
  (group.nodes as Set<NodeId>).add(write.id);
  growth.partition.extend(index, [write.id]);
  return true;
}

function refuseWrite(
  { context: { graph, classified }, partition }: Growth,
  { nodes }: FusedRows,
  write: GraphNode,
): string | undefined {
  const bases = [...nodes].flatMap((id) =>
    graph.nodes[id]!.inputs.map((input) => classified.views[input]?.base),
  );
  if (bases.some((base) => base !== undefined && stateOf(graph.nodes[base]!) === stateOf(write)))
    return "the kernel reads the state";
  return partition.refuseTogether(new Set([...nodes, write.id]));
}

function refuseUpdate(
  { context, partition }: Growth,
  { nodes, space }: FusedRows,
  write: GraphNode,
  read: GraphNode,
): string | undefined {
  const { graph, classified } = context;
  const value = graph.nodes[write.inputs[0]!]!;
  if (classified.kinds[read.id] !== "leaf") return "the old value is needed afterwards";
  const own = [...contiguousStrides(read.type.axes)].join();
  let isRead = false;
  for (const id of nodes) {
    const node = graph.nodes[id]!;
    if (rowAxisOfView(node) !== undefined) return "a row is cut or joined";
    const { axes } = node.type;
    const along = axes.filter((one) => space.row.some((other) => other.name === one.name));
    if (along.length > 0 && !typeEquals({ dtype: "f32", axes: along }, { dtype: "f32", axes: space.row }))
      return "not all results are as long as the row";
    for (const input of node.inputs) {
      const view = nodes.has(input) ? undefined : classified.views[input];
      if (view?.base !== read.id) continue;
      if (node.op === "gather") return "the state is looked up";
      isRead = true;
      const isWhole = view.offset.constant === 0 && view.offset.terms.size === 0;
      if (!isWhole || [...view.strides].join() !== own) return "the state is read at other places";
    }
  }
  if (!isRead) return "another kernel reads the old value";
  if (!typeEquals(value.type, read.type)) return "the value is a part of the state";
  return partition.refuseTogether(new Set([...nodes, write.id]));
}
