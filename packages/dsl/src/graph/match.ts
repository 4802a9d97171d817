/** Which node of a graph is which node of another one: passes give new numbers to what they keep. */
import { formatType } from "../ops/shape.ts";
import type { Graph, GraphNode } from "./types.ts";

export interface NodeMatch {
  /** The node before, or -1. */
  readonly before: number;
  readonly state: "same" | "changed" | "added";
}

/**
 * For each node of `after` the one of `before` that it is. Nodes with the same op, place, type and attributes are one, in their order; of what is left, those with the same op at
 * the same place. A node that reads other values than before has changed, whatever else of it is the same.
 */
export function matchGraphs(before: Graph, after: Graph): readonly NodeMatch[] {
  const found = new Int32Array(after.nodes.length).fill(-1);
  const taken = new Set<number>();
  const exact = pair(before, after, found, taken, exactKey);
  pair(before, after, found, taken, placeKey);
  return after.nodes.map((node): NodeMatch => {
    const old = found[node.id]!;
    if (old < 0) return { before: -1, state: "added" };
    const inputs = before.nodes[old]!.inputs;
    const reads =
      inputs.length === node.inputs.length &&
      node.inputs.every((input, place) => found[input] === inputs[place]);
    return { before: old, state: exact.has(node.id) && reads ? "same" : "changed" };
  });
}

/** Pairs what has equal keys and no partner yet; of several the one that reads the same, else the first. */
function pair(
  before: Graph,
  after: Graph,
  found: Int32Array,
  taken: Set<number>,
  key: (node: GraphNode) => string,
): ReadonlySet<number> {
  const waiting = new Map<string, Waiting>();
  for (const node of before.nodes) {
    if (taken.has(node.id)) continue;
    const name = key(node);
    const others = waiting.get(name);
    if (others === undefined) waiting.set(name, { nodes: [node], first: 0 });
    else others.nodes.push(node);
  }
  const paired = new Set<number>();
  for (const node of after.nodes) {
    if (found[node.id] !== -1) continue;
    const candidates = waiting.get(key(node));
    if (candidates === undefined || candidates.first === candidates.nodes.length) continue;
    const old = take(candidates, (one) =>
      one.inputs.every((input, place) => found[node.inputs[place]!] === input),
    );
    found[node.id] = old.id;
    taken.add(old.id);
    paired.add(node.id);
  }
  return paired;
}

/** Nodes with one key; those before `first` have been taken. */
interface Waiting {
  readonly nodes: GraphNode[];
  first: number;
}

/** Few places have more than a handful of equal nodes; constants may have thousands, and any of those will do. */
const mostTried = 16;

/** Takes the first node that is alike, or the first one. Those that were passed over keep their order. */
function take(waiting: Waiting, isAlike: (node: GraphNode) => boolean): GraphNode {
  const { nodes, first } = waiting;
  const alike = nodes.slice(first, first + mostTried).findIndex(isAlike);
  const at = first + Math.max(0, alike);
  const taken = nodes[at]!;
  nodes.copyWithin(first + 1, first, at);
  waiting.first++;
  return taken;
}

const placeKey = (node: GraphNode) => JSON.stringify([node.op, node.origin.path, node.origin.composite]);

/** JSON has no words for these numbers. */
function spelled(_: string, value: unknown): unknown {
  if (Object.is(value, -0)) return "-0";
  return typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
}

/** A graph is often looked at twice, before one pass and after the other, and passes hand on most of its nodes. */
const exactKeys = new WeakMap<GraphNode, string>();

function exactKey(node: GraphNode): string {
  const known = exactKeys.get(node);
  if (known !== undefined) return known;
  const { op, origin, type, attributes } = node;
  // A graph that was read from a text has the attributes of some nodes in another order.
  const entries = Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1));
  const key = JSON.stringify([op, origin.path, origin.composite, formatType(type), entries], spelled);
  exactKeys.set(node, key);
  return key;
}
