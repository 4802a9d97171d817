/**
 * The two sides of a graph with gradients: what is computed on the way to the loss, and what is computed on the way
 * back. Blocks are told by the paths of nodes; what belongs to none in front of the blocks (an embedding) or behind them
 * (a head and its loss) is never computed twice.
 */
import { type Graph, type GraphNode, type NodeId, nearestName, userProblem, WeftError } from "@weft/dsl";

/** `model.layers.3` of `model.layers.3.mlp.up_proj`: a path up to its first number. */
export function blockOfPath(path: string): string | undefined {
  return /^(?:[^.]+\.)*?\d+(?=\.|$)/.exec(path)?.[0];
}

export interface Sides {
  /** For each node, its block; undefined for those behind or in front of all blocks. */
  readonly blockOf: readonly (string | undefined)[];
  /** Whether a node needs what stands behind the blocks on the way to the loss. */
  readonly needsHead: readonly boolean[];
  /** Whether it does and is not on that way itself: it belongs to the way back. */
  readonly isBackward: readonly boolean[];
  /** Whether a node lies in memory before the step begins. */
  readonly isGiven: readonly boolean[];
  /** In the order of the way forward. */
  readonly blocks: readonly string[];
}

/** @throws WeftError when the graph has no output of the name `loss`. */
export function sidesOf(graph: Graph, loss: string): Sides {
  const onTheWay = ancestorsOf(graph, lossOf(graph, loss));
  const blockOf = graph.nodes.map(({ origin }) => blockOfPath(origin.path));
  const isBehindBlock = new Array<boolean>(graph.nodes.length).fill(false);
  const needsHead = new Array<boolean>(graph.nodes.length).fill(false);
  for (const { id, inputs } of graph.nodes) {
    isBehindBlock[id] = blockOf[id] !== undefined || inputs.some((input) => isBehindBlock[input]);
    const isHead = onTheWay[id] && blockOf[id] === undefined && isBehindBlock[id];
    needsHead[id] = isHead || inputs.some((input) => needsHead[input]);
  }
  const isBackward = graph.nodes.map(({ id }) => needsHead[id]! && !onTheWay[id]);
  const blocks = new Set(
    graph.nodes.flatMap(({ id }) => (onTheWay[id] && blockOf[id] !== undefined ? [blockOf[id]] : [])),
  );
  return { blockOf, needsHead, isBackward, isGiven: givenNodes(graph), blocks: [...blocks] };
}

function lossOf(graph: Graph, loss: string): NodeId {
  const found = graph.outputs.find(({ name }) => name === loss);
  if (found !== undefined) return found.node;
  const names = graph.outputs.map(({ name }) => name);
  const near = nearestName(loss, names);
  throw new WeftError([
    userProblem("checkpoint", "the loss must be an output of the graph", {
      given: JSON.stringify(loss),
      remedy: near === undefined ? `outputs: ${names.join(", ")}` : `did you mean "${near}"?`,
    }),
  ]);
}

function ancestorsOf(graph: Graph, root: NodeId): boolean[] {
  const found = new Array<boolean>(graph.nodes.length).fill(false);
  found[root] = true;
  for (let id = root; id >= 0; id--) {
    if (found[id]) for (const input of graph.nodes[id]!.inputs) found[input] = true;
  }
  return found;
}

const outside: ReadonlySet<string> = new Set(["input", "parameter", "stateRead"]);
const anywhere: ReadonlySet<string> = new Set(["constant", "iota", "symbol"]);

/** Arguments, weights and states; a weight's blocks and how they are seen, because the last update has left them. */
function givenNodes(graph: Graph): boolean[] {
  const isBlocks: boolean[] = [];
  const isOutside = ({ op, inputs }: GraphNode): boolean =>
    // A weight of bf16 is read in f32.
    outside.has(op) || (op === "cast" && outside.has(graph.nodes[inputs[0]!]!.op));
  for (const { id, op, inputs } of graph.nodes) {
    const isMade = op === "quantizeNvfp4" && inputs.every((input) => isOutside(graph.nodes[input]!));
    isBlocks[id] = isMade || (op === "splitAxis" && isBlocks[inputs[0]!] === true);
  }
  return graph.nodes.map(({ id, op }) => outside.has(op) || isBlocks[id]!);
}

/** Costs nothing, wherever it is wanted. */
export function isFree({ op }: GraphNode): boolean {
  return anywhere.has(op);
}
