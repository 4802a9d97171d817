/**
 * A state's new value is written by the kernel that computes it, over the old one that the same kernel reads. When:
 *
 * 1. the value is computed in a row program that reads the state, and nobody else writes the state;
 * 2. that program reads every element just where it writes it, so that no row needs what another has overwritten;
 * 3. all its long results are as long as its rows: results of another length come from a pass of their own, which would
 *    read what the first pass wrote;
 * 4. whoever else reads the old value can do so before.
 *
 * Blocks of nvfp4, and single numbers, are written by what makes them where that does not read the state. A program may
 * compute the value with an axis in parts, as the rule of an optimizer does whose scales belong to a part: in memory the
 * parts lie one behind the other, so it is stored just as well.
 *
 * Otherwise the value is stored as any other, and a copy writes the state.
 */
import { type GraphNode, type NodeId, typeEquals } from "@weft/dsl";
import { rowAxisOfView } from "./classify.ts";
import type { Growth } from "./grow.ts";
import type { FusionContext } from "./legality.ts";
import { opsByState } from "./state-order.ts";
import type { FusedGroup, FusedRows } from "./types.ts";
import { contiguousStrides, isContiguous } from "./view.ts";

const stateOf = ({ attributes }: GraphNode) => (attributes as { readonly state?: string }).state;

/** What a write stores: the value that is computed, and the joins of its axes on the way. */
function writtenBy({ graph, classified }: FusionContext, write: GraphNode): Written {
  const given = graph.nodes[write.inputs[0]!]!;
  const joins: NodeId[] = [];
  let value = given;
  for (; value.op === "mergeAxes"; value = graph.nodes[value.inputs[0]!]!) joins.push(value.id);
  const view = classified.views[given.id];
  const liesInOrder = view !== undefined && isContiguous(view, given.type.axes);
  return liesInOrder && view.base === value.id ? { value, joins } : { value: given, joins: [] };
}

interface Written {
  readonly value: GraphNode;
  readonly joins: readonly NodeId[];
}

/** The read that a write updates: the only other op on the state, of the whole state. */
export function readBeforeUpdate(growth: Growth, write: GraphNode): GraphNode | undefined {
  if (write.op !== "stateWrite") return undefined;
  const { graph, classified } = growth.context;
  const others = (opsByState(graph).get(stateOf(write)!) ?? []).filter((one) => one !== write);
  const [read] = others;
  const kind = classified.kinds[writtenBy(growth.context, write).value.id];
  const isUpdate = others.length === 1 && read?.op === "stateRead" && read.id < write.id;
  return isUpdate && (kind === "map" || kind === "reduce") ? read : undefined;
}

/**
 * Blocks are stored by what makes them and nowhere else; single numbers may be, and no copy is worth a kernel. Who else
 * reads the old value comes before, by the order that states ask for.
 */
export function isWrittenWhereMade(growth: Growth, write: GraphNode): boolean {
  if (write.op !== "stateWrite") return false;
  const { classified } = growth.context;
  const { value } = writtenBy(growth.context, write);
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
  const { value, joins } = writtenBy(growth.context, write);
  const index = growth.partition.groupOf[value.id]!;
  const group = groups[index];
  if (group?.kind !== "rows") return false;
  const updates = read !== undefined ? refuseUpdate(growth, group, write, read) : "the state is not read";
  const reason =
    updates !== undefined && isWrittenWhereMade(growth, write) ? refuseWrite(growth, group, write) : updates;
  if (reason !== undefined) {
    growth.refuse("update in place", write.id, group.seed, reason);
    return false;
  }
  const joined = [...joins, write.id];
  for (const id of joined) (group.nodes as Set<NodeId>).add(id);
  growth.partition.extend(index, joined);
  return true;
}

function refuseWrite(
  { context, partition }: Growth,
  { nodes }: FusedRows,
  write: GraphNode,
): string | undefined {
  const { graph, classified } = context;
  const bases = [...nodes].flatMap((id) =>
    graph.nodes[id]!.inputs.map((input) => classified.views[input]?.base),
  );
  if (bases.some((base) => base !== undefined && stateOf(graph.nodes[base]!) === stateOf(write)))
    return "the kernel reads the state";
  return partition.refuseTogether(new Set([...nodes, ...writtenBy(context, write).joins, write.id]));
}

function refuseUpdate(
  { context, partition }: Growth,
  { nodes, space }: FusedRows,
  write: GraphNode,
  read: GraphNode,
): string | undefined {
  const { graph, classified } = context;
  const { value, joins } = writtenBy(context, write);
  if (classified.kinds[read.id] !== "leaf") return "the old value is needed afterwards";
  const own = [...contiguousStrides(value.type.axes)].join();
  let isRead = false;
  for (const id of nodes) {
    const node = graph.nodes[id]!;
    // The write of another state, whose value has been judged.
    if (node.op === "mergeAxes" || node.op === "stateWrite") continue;
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
  if (!typeEquals(graph.nodes[write.inputs[0]!]!.type, read.type)) return "the value is a part of the state";
  return partition.refuseTogether(new Set([...nodes, ...joins, write.id]));
}
