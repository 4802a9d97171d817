/**
 * The order that states ask for. A state is one piece of memory: whoever reads what an op on it gives must do so before
 * the next write. Data alone does not say so, hence further edges, which the partition and the order of groups respect.
 */
import { type Graph, type GraphNode, moveNode, type NodeId, type OpName } from "@weft/dsl";
import { topologicalOrder } from "./topological.ts";
import type { View } from "./view.ts";

const stateOps: ReadonlySet<OpName> = new Set(["stateRead", "stateWrite", "stateAppend"]);

/** Where values lie, as `classify` finds it. */
type Views = readonly (View | undefined)[];

/** One op on a state that a later write to the same state follows, and who reads the memory that it gives. */
interface Overwritten {
  readonly op: NodeId;
  readonly nextWrite: NodeId;
  readonly readers: readonly NodeId[];
}

const known = new WeakMap<Graph, ReadonlyMap<string, readonly GraphNode[]>>();

/** The ops on each state, in execution order. Asked once for each op, so a graph's are found once. */
export function opsByState(graph: Graph): ReadonlyMap<string, readonly GraphNode[]> {
  const present = known.get(graph);
  if (present !== undefined) return present;
  const byState = new Map<string, GraphNode[]>();
  for (const node of graph.nodes) {
    if (!stateOps.has(node.op)) continue;
    const { state } = node.attributes as { readonly state: string };
    const ops = byState.get(state);
    if (ops === undefined) byState.set(state, [node]);
    else ops.push(node);
  }
  known.set(graph, byState);
  return byState;
}

/** Whose memory is overwritten later, with the nodes that read it, directly or by way of views. */
function overwrittenOps(graph: Graph, views: Views): Overwritten[] {
  const nextWrite = new Map<NodeId, NodeId>();
  for (const ops of opsByState(graph).values()) {
    let write: NodeId | undefined;
    for (const node of ops.toReversed()) {
      if (write !== undefined) nextWrite.set(node.id, write);
      if (node.op !== "stateRead") write = node.id;
    }
  }
  if (nextWrite.size === 0) return [];
  const readers = new Map([...nextWrite.keys()].map((id) => [id, new Set<NodeId>()]));
  for (const { id, inputs } of graph.nodes) {
    for (const input of inputs) {
      const base = views[input]?.base;
      // A view reads nothing by itself; its readers do.
      if (base !== undefined && views[id]?.base !== base) readers.get(base)?.add(id);
    }
  }
  return [...nextWrite].map(([op, write]) => ({ op, nextWrite: write, readers: [...readers.get(op)!] }));
}

/**
 * For each node what must be computed before it: its inputs; for an op on a state, the op before it on that state; for a
 * write, also all that reads what it overwrites.
 */
export function waitsOf(
  graph: Graph,
  views: Views,
  saved: ReadonlySet<NodeId>,
): readonly (readonly NodeId[])[] {
  const waits: (readonly NodeId[])[] = graph.nodes.map((node) => node.inputs);
  const add = (id: NodeId, more: readonly NodeId[]) => {
    waits[id] = [...waits[id]!, ...more];
  };
  for (const ops of opsByState(graph).values()) {
    for (let at = 1; at < ops.length; at++) add(ops[at]!.id, [ops[at - 1]!.id]);
  }
  for (const { op, nextWrite, readers } of overwrittenOps(graph, views)) {
    if (!saved.has(op)) add(nextWrite, readers);
  }
  return waits;
}

/** Reads whose value is wanted behind the next write in the list: they must be copied out before. */
export function readsToSave(graph: Graph, views: Views): Set<NodeId> {
  return new Set(
    overwrittenOps(graph, views)
      .filter(
        ({ op, nextWrite, readers }) =>
          graph.nodes[op]!.op === "stateRead" && readers.some((id) => id >= nextWrite),
      )
      .map(({ op }) => op),
  );
}

/**
 * Lists the nodes so that whoever reads a state's memory stands before the next write to it, where that is possible.
 * Where it is not, because the reader needs the next write as well, a `stateRead` in front of that write stands in for
 * the value, which `readsToSave` then finds.
 */
export function settleStates(graph: Graph, views: Views): Graph {
  const late = overwrittenOps(graph, views).filter(({ nextWrite, readers }) =>
    readers.some((id) => id >= nextWrite),
  );
  if (late.length === 0) return graph;
  const isLate = new Set(late.map(({ op }) => op));
  const waits = waitsOf(graph, views, isLate).map((ids) => new Set(ids));
  const saved = new Set<NodeId>();
  for (const { op, nextWrite, readers } of late) {
    if (readers.some((id) => dependsOn(waits, id, nextWrite))) saved.add(op);
    else for (const id of readers) waits[nextWrite]!.add(id);
  }
  const order = topologicalOrder(waits, (id) => id);
  return listed(graph, order, (id) => saved.has(id) && graph.nodes[id]!.op !== "stateRead");
}

/** Whether a node is, or waits for, the other one. */
function dependsOn(waits: readonly ReadonlySet<NodeId>[], id: NodeId, other: NodeId): boolean {
  const seen = new Set([id]);
  for (const one of seen) {
    if (one === other) return true;
    for (const before of waits[one]!) seen.add(before);
  }
  return false;
}

/** The graph in another order of nodes; behind a write that is `reread`, a read gives its value to all consumers. */
function listed(graph: Graph, order: readonly NodeId[], reread: (id: NodeId) => boolean): Graph {
  const nodes: GraphNode[] = [];
  const image = new Map<NodeId, NodeId>();
  for (const id of order) {
    const node = graph.nodes[id]!;
    image.set(id, nodes.length);
    nodes.push(
      moveNode(
        node,
        nodes.length,
        node.inputs.map((input) => image.get(input)!),
      ),
    );
    if (!reread(id)) continue;
    const { state } = node.attributes as { readonly state: string };
    image.set(id, nodes.length);
    nodes.push({
      id: nodes.length,
      op: "stateRead",
      inputs: [],
      attributes: { state, ...node.type } as unknown as GraphNode["attributes"],
      type: node.type,
      origin: node.origin,
    });
  }
  return {
    ...graph,
    nodes,
    outputs: graph.outputs.map(({ name, node }) => ({ name, node: image.get(node)! })),
  };
}
