/**
 * What a block keeps for its way back: of all sets of values from which the rest can be computed again, the one of the
 * fewest bytes. What may be computed again is the caller's choice; the bytes are a minimum cut.
 */
import { type Graph, type GraphNode, maxSize, type NodeId, opTable } from "@weft/dsl";
import { elementBytes } from "../../plan/element-bytes.ts";
import { minimumCut } from "./minimum-cut.ts";
import { isFree, type Sides } from "./sides.ts";

/**
 * What is computed a second time on the way back rather than kept, from cheap to dear. `rows`: what lies between products
 * and attention (norms, rotations, activations). `products`: the matrix products too. `everything`: attention too, so that
 * only what enters the block is left, and the few sums of its norms.
 */
export const recomputations = ["nothing", "rows", "products", "everything"] as const;
export type Recomputation = (typeof recomputations)[number];

/** Ops with an effect, or whose rows come from an index: computed once. */
const once: ReadonlySet<string> = new Set(["stateWrite", "stateAppend", "scatterAdd", "gather", "topK"]);
const attention: ReadonlySet<string> = new Set(["attend", "attendLogSumExp", "attendGradient"]);

/**
 * A sum over many elements is far smaller than they are, and the only thing in a row that depends on the order in which a
 * kernel goes along: kept, the rest of a norm comes out the same to the bit in whatever kernel.
 */
function isSmallSum(graph: Graph, { op, inputs, id }: GraphNode): boolean {
  if (op !== "reduceSum" && op !== "reduceMax") return false;
  return 8 * bytesOf(graph.nodes[id]!) <= bytesOf(graph.nodes[inputs[0]!]!);
}

function isComputedOnce(graph: Graph, node: GraphNode, recompute: Recomputation): boolean {
  const { op } = node;
  if (once.has(op) || isSmallSum(graph, node)) return true;
  if (attention.has(op)) return recompute !== "everything";
  return op === "dot" && recompute === "rows";
}

/** At the largest sizes. */
export function bytesOf({ type: { dtype, axes } }: GraphNode): number {
  return axes.reduce((product, { size }) => product * maxSize(size), elementBytes[dtype]);
}

/**
 * The values of a block that stay from the way forward to the way back. Those that something outside of the block reads
 * on its own way back are among them.
 */
export function keptValues(
  graph: Graph,
  { blockOf, isBackward, isGiven }: Sides,
  block: string,
  recompute: Recomputation,
): ReadonlySet<NodeId> {
  const isOwn = (id: NodeId) => {
    const node = graph.nodes[id]!;
    return blockOf[id] === block && !isBackward[id] && !isGiven[id] && !isFree(node);
  };
  const own = graph.nodes.flatMap(({ id }) => (isOwn(id) ? [id] : []));
  const wanted = new Set<NodeId>();
  const stays = new Set<NodeId>();
  for (const { id, inputs } of graph.nodes) {
    if (!isBackward[id]) continue;
    for (const input of inputs) {
      if (isBackward[input]) continue;
      if (blockOf[id] === block && isOwn(input)) wanted.add(input);
      else stays.add(input);
    }
  }
  if (recompute === "nothing") return new Set([...wanted, ...own.filter((id) => stays.has(id))]);

  const numberOf = new Map<NodeId, number>();
  const nodes: NodeId[] = [];
  const edges: [number, number][] = [];
  const sources: number[] = [];
  const number = (id: NodeId) => {
    let found = numberOf.get(id);
    if (found === undefined) {
      found = nodes.push(id) - 1;
      numberOf.set(id, found);
    }
    return found;
  };
  for (const id of own) {
    const node = graph.nodes[id]!;
    const to = number(id);
    if (isComputedOnce(graph, node, recompute)) sources.push(to);
    for (const input of node.inputs) {
      const from = graph.nodes[input]!;
      if (isGiven[input] || isFree(from)) continue;
      if (!isOwn(input) && !numberOf.has(input)) sources.push(number(input));
      edges.push([number(input), to]);
    }
  }
  const weights = nodes.map((id) => {
    if (stays.has(id)) return 0;
    const node = graph.nodes[id]!;
    // Keeping a view would keep what it looks into.
    return opTable[node.op].fusion === "view" ? Number.POSITIVE_INFINITY : bytesOf(node);
  });
  const sinks = [...wanted].map(number);
  const cut = minimumCut({ count: nodes.length, weights, edges, sources, sinks });
  const kept = cut === undefined ? [...wanted] : cut.map((at) => nodes[at]!);
  return new Set([...kept.filter(isOwn), ...own.filter((id) => stays.has(id))]);
}
