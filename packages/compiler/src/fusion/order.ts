/** A topological order of groups: earliest node first among those that are ready, so that dumps read in model order. */
import { type Graph, internalProblem, type NodeId, WeftError } from "@weft/dsl";
import { consumersOf } from "../passes/rewrite.ts";
import type { Classified } from "./classify.ts";
import { type FusedGroup, nodesOf } from "./types.ts";

export function orderGroups(
  graph: Graph,
  classified: Classified,
  groups: readonly FusedGroup[],
  groupOf: Int32Array,
): number[] {
  const waitsFor = groups.map(() => new Set<number>());
  const depend = (group: number, id: NodeId, seen: Set<NodeId>) => {
    if (seen.has(id)) return;
    seen.add(id);
    const other = groupOf[id]!;
    if (other !== -1) {
      if (other !== group) waitsFor[group]!.add(other);
      return;
    }
    if (classified.kinds[id] === "leaf") return;
    for (const input of graph.nodes[id]!.inputs) depend(group, input, seen);
  };
  groups.forEach((group, index) => {
    const seen = new Set<NodeId>();
    for (const id of nodesOf(group)) for (const input of graph.nodes[id]!.inputs) depend(index, input, seen);
  });
  keepStateOrder(graph, groupOf, waitsFor);

  const first = groups.map((group) => Math.min(...nodesOf(group)));
  const readers = groups.map((): number[] => []);
  const open = waitsFor.map((set, index) => {
    for (const other of set) readers[other]!.push(index);
    return set.size;
  });
  const ready = new ReadyQueue((index) => first[index]!);
  open.forEach((count, index) => {
    if (count === 0) ready.push(index);
  });
  const order: number[] = [];
  for (let index = ready.pop(); index !== undefined; index = ready.pop()) {
    order.push(index);
    for (const reader of readers[index]!) if (--open[reader]! === 0) ready.push(reader);
  }
  if (order.length !== groups.length) {
    throw new WeftError([internalProblem("fuse", "groups must not wait for each other in a circle")]);
  }
  return order;
}

/** Who reads a state's value, as any op on the state gives it, does so before the next op writes to the state. */
function keepStateOrder(graph: Graph, groupOf: Int32Array, waitsFor: Set<number>[]): void {
  const consumers = consumersOf(graph);
  const lastWriter = new Map<string, number>();
  const readersSince = new Map<string, Set<number>>();
  for (const node of graph.nodes) {
    const state = (node.attributes as { state?: unknown }).state;
    if (typeof state !== "string") continue;
    const readers = readingGroups(consumers, groupOf, node.id);
    const before = lastWriter.get(state);
    if (node.op === "stateRead") {
      if (before !== undefined)
        for (const reader of readers) if (reader !== before) waitsFor[reader]!.add(before);
    } else {
      const own = groupOf[node.id]!;
      if (before !== undefined) waitsFor[own]!.add(before);
      for (const reader of readersSince.get(state) ?? []) if (reader !== own) waitsFor[own]!.add(reader);
      readersSince.delete(state);
      lastWriter.set(state, own);
    }
    readersSince.set(state, new Set([...(readersSince.get(state) ?? []), ...readers]));
  }
}

/** The groups that read a value, also by way of views and of what is computed where it is used. */
function readingGroups(
  consumers: readonly (readonly NodeId[])[],
  groupOf: Int32Array,
  id: NodeId,
  found = new Set<number>(),
): Set<number> {
  for (const consumer of consumers[id]!) {
    const group = groupOf[consumer]!;
    if (group === -1) readingGroups(consumers, groupOf, consumer, found);
    else found.add(group);
  }
  return found;
}

/** A binary heap of group numbers. */
class ReadyQueue {
  readonly #heap: number[] = [];
  readonly #key: (index: number) => number;

  constructor(key: (index: number) => number) {
    this.#key = key;
  }

  push(index: number): void {
    const heap = this.#heap;
    heap.push(index);
    for (let i = heap.length - 1; i > 0; ) {
      const parent = (i - 1) >> 1;
      if (this.#key(heap[parent]!) <= this.#key(heap[i]!)) break;
      [heap[parent], heap[i]] = [heap[i]!, heap[parent]!];
      i = parent;
    }
  }

  pop(): number | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (top === undefined || last === undefined || heap.length === 0) return top;
    heap[0] = last;
    for (let i = 0; ; ) {
      const [left, right] = [2 * i + 1, 2 * i + 2];
      let least = i;
      if (left < heap.length && this.#key(heap[left]!) < this.#key(heap[least]!)) least = left;
      if (right < heap.length && this.#key(heap[right]!) < this.#key(heap[least]!)) least = right;
      if (least === i) return top;
      [heap[least], heap[i]] = [heap[i]!, heap[least]!];
      i = least;
    }
  }
}
