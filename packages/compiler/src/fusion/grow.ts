/**
 * Growing a group: forward through consumers, backward through producers that nobody else needs, then back again where
 * storing an earlier value moves fewer bytes.
 */
import type { NodeId } from "@weft/dsl";
import { formatBytes } from "../print/amounts.ts";
import { storedBytes } from "./classify.ts";
import { BufferCount, refuseLength } from "./kernel-size.ts";
import { type FusionContext, refuseInSpace } from "./legality.ts";
import type { Partition } from "./partition.ts";
import type { Space } from "./types.ts";

export interface Growth {
  readonly context: FusionContext;
  readonly partition: Partition;
  /** Keeps why the kernel that grows from `seed` does not take a node in. */
  readonly refuse: (rule: string, node: NodeId, seed: NodeId, reason: string) => void;
}

/** What grows, for the records: under which rule, and from which node. */
export interface Grower {
  readonly rule: string;
  readonly seed: NodeId;
}

/** Ids in ascending order, each once. */
class SortedIds {
  readonly #ids: NodeId[] = [];

  add(id: NodeId): void {
    let [low, high] = [0, this.#ids.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#ids[middle]! < id) low = middle + 1;
      else high = middle;
    }
    if (this.#ids[low] !== id) this.#ids.splice(low, 0, id);
  }

  takeFirst(): NodeId | undefined {
    return this.#ids.shift();
  }

  takeLast(): NodeId | undefined {
    return this.#ids.pop();
  }
}

/** Whether every reader of a value is in the set and the caller does not ask for it. */
export function isPrivate(context: FusionContext, id: NodeId, readers: ReadonlySet<NodeId>): boolean {
  return !context.outputs.has(id) && context.consumers[id]!.every((consumer) => readers.has(consumer));
}

/** Adds consumers of `nodes`, in order, for as long as they fit. `spaceFor` gives the space for a candidate. */
export function growForward(
  growth: Growth,
  nodes: Set<NodeId>,
  spaceFor: (candidate: NodeId) => Space | string,
  { rule, seed }: Grower,
  reduces?: (space: Space) => string | undefined,
  joined?: (id: NodeId) => void,
): void {
  const { context, partition } = growth;
  const buffers = new BufferCount(context, nodes);
  const smallest = Math.min(...nodes);
  const pending = new SortedIds();
  for (const id of nodes) for (const consumer of context.consumers[id]!) pending.add(consumer);
  for (let id = pending.takeFirst(); id !== undefined; id = pending.takeFirst()) {
    if (nodes.has(id) || !partition.isFree(id)) continue;
    const kind = context.classified.kinds[id]!;
    if (kind !== "map" && kind !== "reduce" && kind !== "view") continue;
    const space = spaceFor(id);
    const reason =
      typeof space === "string" ? space : refuseInSpace(context, id, nodes, space, reduces?.(space));
    const { op } = context.graph.nodes[id]!;
    if (reason !== undefined) {
      growth.refuse(rule, id, seed, `${op}: ${reason}`);
      continue;
    }
    nodes.add(id);
    const unfit =
      refuseLength(nodes) ?? partition.refuseReader(nodes, id, smallest) ?? buffers.refuse(nodes, id);
    if (unfit !== undefined) {
      nodes.delete(id);
      growth.refuse(rule, id, seed, `${op}: ${unfit}`);
      continue;
    }
    joined?.(id);
    for (const consumer of context.consumers[id]!) pending.add(consumer);
  }
}

/** Adds producers whose every reader is in the set. */
export function growBackward(
  growth: Growth,
  nodes: Set<NodeId>,
  readers: ReadonlySet<NodeId>,
  from: Iterable<NodeId>,
  space: Space,
  { rule, seed }: Grower,
): void {
  const { context, partition } = growth;
  const inside = new Set([...nodes, ...readers]);
  const buffers = new BufferCount(context, inside);
  const pending = new SortedIds();
  for (const id of from) pending.add(id);
  for (let id = pending.takeLast(); id !== undefined; id = pending.takeLast()) {
    const kind = context.classified.kinds[id]!;
    if (inside.has(id) || !partition.isFree(id) || (kind !== "map" && kind !== "reduce" && kind !== "view"))
      continue;
    const node = context.graph.nodes[id]!;
    if (!isPrivate(context, id, inside)) {
      growth.refuse(rule, id, seed, `${node.op}: its value is also needed elsewhere`);
      continue;
    }
    // A view absorbed backward has its source in memory or absorbed next: it is judged as if that were inside.
    const seen = kind === "view" ? new Set([...nodes, ...node.inputs]) : nodes;
    const reason = refuseInSpace(context, id, seen, space);
    if (reason !== undefined) {
      growth.refuse(rule, id, seed, `${node.op}: ${reason}`);
      continue;
    }
    nodes.add(id);
    inside.add(id);
    const unfit = refuseLength(inside) ?? partition.refuseProducer(inside) ?? buffers.refuse(inside, id);
    if (unfit !== undefined) {
      nodes.delete(id);
      inside.delete(id);
      growth.refuse(rule, id, seed, `${node.op}: ${unfit}`);
      continue;
    }
    for (const input of node.inputs) pending.add(input);
  }
  dropUnreadableViews(context, nodes);
}

/** A view taken in needs its source in the same registers; without it, the value is read from memory after all. */
function dropUnreadableViews(context: FusionContext, nodes: Set<NodeId>): void {
  for (const id of [...nodes].sort((a, b) => a - b)) {
    if (context.classified.kinds[id] !== "view") continue;
    if (!context.graph.nodes[id]!.inputs.some((input) => nodes.has(input))) nodes.delete(id);
  }
}

/**
 * Whether somebody reads the value who cannot compute it again: a kernel of its own, or a product that is not its only
 * reader, and so cannot take it in as its prologue. The value is stored anyway, best where it is computed.
 */
function isReadFromMemory(context: FusionContext, id: NodeId): boolean {
  const { graph, classified, consumers } = context;
  const isProduct = (reader: NodeId) => {
    const { op, inputs } = graph.nodes[reader]!;
    return op === "dot" && inputs[0] === id && graph.nodes[inputs[1]!]!.op === "parameter";
  };
  return consumers[id]!.some((reader) => {
    const kind = classified.kinds[reader];
    if (kind === "dot") return !consumers[id]!.every(isProduct);
    return kind === "attend" || kind === "scatterAdd" || kind === "lossHead";
  });
}

/** A state's new value, or what is made of it element by element: to reduce it elsewhere would read all of it again. */
function isWritten({ graph, consumers }: FusionContext, id: NodeId): boolean {
  const { op, inputs } = graph.nodes[id]!;
  const value = op === "abs" ? inputs[0]! : id;
  const isWrite = (reader: NodeId): boolean => {
    const node = graph.nodes[reader]!;
    return node.op === "stateWrite" || (node.op === "mergeAxes" && consumers[reader]!.some(isWrite));
  };
  return consumers[value]!.some(isWrite);
}

/** @param added bytes of what has to be stored for a node to be computed elsewhere. */
function givenBack(own: number, added: number): string {
  const instead = added === 0 ? "is stored anyway" : `takes ${formatBytes(added)}`;
  return `its value would take ${formatBytes(own)} to store, what it is computed from ${instead}`;
}

/** Gives back what would be stored only to spare its reader a cheap repetition. */
export function prune(
  growth: Growth,
  nodes: Set<NodeId>,
  fixed: ReadonlySet<NodeId>,
  { rule, seed }: Grower,
): void {
  const { context } = growth;
  const { graph, consumers, outputs } = context;
  const storedNow = (id: NodeId) =>
    outputs.has(id) || consumers[id]!.some((consumer) => !nodes.has(consumer));
  for (let changed = true; changed; ) {
    changed = false;
    for (const id of [...nodes].sort((a, b) => b - a)) {
      if (fixed.has(id) || outputs.has(id)) continue;
      if (consumers[id]!.some((consumer) => nodes.has(consumer))) continue;
      // A cast belongs to the value that it stores, and so do blocks.
      const { op, inputs } = graph.nodes[id]!;
      if (op === "cast" || op === "quantizeNvfp4") continue;
      if (context.classified.kinds[id] === "reduce" && isWritten(context, inputs[0]!)) continue;
      if (isReadFromMemory(context, id)) continue;
      const sources = new Set(graph.nodes[id]!.inputs.filter((input) => nodes.has(input)));
      if (context.classified.kinds[id] === "view") {
        // A view at the edge is free to read from its stored source.
        if (![...sources].every(storedNow)) continue;
      }
      let added = 0;
      for (const source of sources) if (!storedNow(source)) added += storedBytes(graph, source);
      const own = storedBytes(graph, id);
      if (added < own) {
        nodes.delete(id);
        growth.refuse(rule, id, seed, `${op}: ${givenBack(own, added)}`);
        changed = true;
      }
    }
  }
}
