/**
 * Finds repeated layers, for reading: consecutive ranges of nodes that are the same but for one number in their paths.
 *
 * Two neighbouring ranges are the same when, node by node, op, type, attributes and path agree with the number taken
 * out, and every input is either at the same place of the own range, or at the same place of the range before (what
 * one layer hands to the next), or one and the same node outside. The first range may take what it is handed from
 * anywhere. Nodes that a builder shared between layers stand in the first one that used them; they are moved in front.
 */
import { typeEquals } from "../ops/shape.ts";
import type { Graph, GraphNode, NodeId } from "./types.ts";

export interface Repeat {
  readonly tag: "repeat";
  /** `model.layers.`: what stands before the number. */
  readonly prefix: string;
  /** The number of the first range. */
  readonly first: number;
  /** The ranges, all of one length; at least two. */
  readonly ranges: readonly (readonly GraphNode[])[];
  /** For each input of the first range that later ranges take from the range before: the place it has there. */
  readonly carried: ReadonlyMap<string, number>;
}

export type FoldItem = { readonly tag: "node"; readonly node: GraphNode } | Repeat;

/** The key of an input in `carried`. */
export function carriedKey(place: number, input: number): string {
  return `${place}/${input}`;
}

/** The nodes of a graph, some of them moved ahead, with repeated ranges as one item. */
export function foldGraph(graph: Graph): readonly FoldItem[] {
  const layers = graph.nodes.map((node) => layerOf(node.origin.path));
  const shared = sharedNodes(graph, layers);
  const items: FoldItem[] = [];
  let run: Range[] = [];
  const flush = () => {
    for (const item of foldRun(run)) items.push(item);
    run = [];
  };
  for (const node of graph.nodes) {
    const layer = layers[node.id];
    if (layer === undefined) {
      flush();
      items.push({ tag: "node", node });
      continue;
    }
    const last = run.at(-1);
    if (shared.has(node.id)) {
      // In front of the run, so that the first range is like the others.
      items.push({ tag: "node", node });
    } else if (
      last !== undefined &&
      last.layer.prefix === layer.prefix &&
      last.layer.number === layer.number
    ) {
      last.nodes.push(node);
    } else {
      if (last !== undefined && last.layer.prefix !== layer.prefix) flush();
      run.push({ layer, nodes: [node] });
    }
  }
  flush();
  return items;
}

/** A string with the number of a layer taken out: `model.layers.*.mlp`. */
export function withoutNumber(text: string, prefix: string, number: number): string {
  const start = `${prefix}${number}`;
  return text === start || text.startsWith(`${start}.`) ? `${prefix}*${text.slice(start.length)}` : text;
}

/** A path's number, with what stands before it. */
export interface Layer {
  /** `model.layers.` */
  readonly prefix: string;
  readonly number: number;
}

interface Range {
  readonly layer: Layer;
  readonly nodes: GraphNode[];
}

/** The first number among a path's segments, with what stands before it; undefined where there is none. */
export function layerOf(path: string): Layer | undefined {
  const found = /^((?:[^.]*\.)*?)(\d{1,9})(?:\.|$)/.exec(path);
  return found === null ? undefined : { prefix: found[1]!, number: Number(found[2]) };
}

/**
 * Nodes that serve several layers: constants and indices used by another layer, and what at least two other layers
 * use, with all that these depend on, as long as that is in the same layer.
 */
function sharedNodes(graph: Graph, layers: readonly (Layer | undefined)[]): ReadonlySet<NodeId> {
  const users = graph.nodes.map(() => new Set<number>());
  for (const node of graph.nodes) {
    for (const id of node.inputs) users[id]?.add(layers[node.id]?.number ?? -1);
  }
  const closed = new Set<NodeId>();
  const shared = new Set<NodeId>();
  for (const { id, op, inputs } of graph.nodes) {
    const layer = layers[id];
    if (layer === undefined || op.startsWith("state")) continue;
    const fits = inputs.every((input) => layers[input] === undefined || closed.has(input));
    const others = [...users[id]!].filter((number) => number !== layer.number).length;
    if (fits) closed.add(id);
    if (fits && others >= (inputs.length === 0 ? 1 : 2)) shared.add(id);
  }
  for (const { id, inputs } of graph.nodes.toReversed()) {
    if (shared.has(id)) for (const input of inputs) if (closed.has(input)) shared.add(input);
  }
  return shared;
}

/** Folds the longest stretches of like ranges in a run of neighbouring ones. */
function foldRun(run: readonly Range[]): FoldItem[] {
  const items: FoldItem[] = [];
  for (let start = 0; start < run.length; ) {
    const first = run[start]!;
    let end = start + 1;
    let carried: ReadonlyMap<string, number> | undefined;
    while (end < run.length) {
      const next = compareRanges(run[end - 1]!, run[end]!);
      if (next === undefined || (carried !== undefined && !sameEntries(carried, next))) break;
      carried ??= next;
      end++;
    }
    if (carried === undefined) for (const node of first.nodes) items.push({ tag: "node", node });
    else {
      const ranges = run.slice(start, end).map((one) => one.nodes);
      const { prefix, number } = first.layer;
      items.push({ tag: "repeat", prefix, first: number, ranges, carried });
    }
    start = end;
  }
  return items;
}

function sameEntries(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): boolean {
  return a.size === b.size && [...a].every(([key, value]) => b.get(key) === value);
}

/** Whether a range is the next turn of the one before; then, which inputs it is handed by that one. */
function compareRanges(before: Range, range: Range): ReadonlyMap<string, number> | undefined {
  if (range.layer.number !== before.layer.number + 1 || before.nodes.length !== range.nodes.length)
    return undefined;
  const placesBefore = new Map(before.nodes.map((node, place) => [node.id, place]));
  const places = new Map(range.nodes.map((node, place) => [node.id, place]));
  const carried = new Map<string, number>();
  for (const [place, node] of range.nodes.entries()) {
    const twin = before.nodes[place]!;
    if (!sameNode(twin, before.layer, node, range.layer)) return undefined;
    for (const [index, input] of node.inputs.entries()) {
      const other = twin.inputs[index]!;
      const handed = placesBefore.get(input);
      if (handed !== undefined) carried.set(carriedKey(place, index), handed);
      else if (places.has(input) ? placesBefore.get(other) !== places.get(input) : other !== input)
        return undefined;
    }
  }
  return carried;
}

function sameNode(a: GraphNode, layerA: Layer, b: GraphNode, layerB: Layer): boolean {
  const spell = (node: GraphNode, layer: Layer) =>
    JSON.stringify([node.attributes, node.origin.path, node.origin.composite], (_, value) =>
      typeof value === "string" ? withoutNumber(value, layer.prefix, layer.number) : value,
    );
  return (
    a.op === b.op &&
    a.inputs.length === b.inputs.length &&
    typeEquals(a.type, b.type) &&
    spell(a, layerA) === spell(b, layerB)
  );
}
