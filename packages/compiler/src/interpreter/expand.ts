/** Rewrites a graph into primitives alone, by each composite's own definition. */
import {
  type Graph,
  GraphBuilder,
  type GraphNode,
  internalProblem,
  type NodeId,
  type OpDefinition,
  opTable,
  typeEquals,
  WeftError,
} from "@weft/dsl";

export interface Expansion {
  /** The graph without composites. */
  readonly graph: Graph;
  /** For each node of the original graph, the node that computes the same value. */
  readonly images: readonly NodeId[];
}

const expansions = new WeakMap<Graph, Expansion>();

/**
 * The graph in primitives. Equal subexpressions become one node, so a table of rotations is computed once for all
 * layers. The result is kept for as long as the graph lives.
 * @throws WeftError (internal) when a definition does not give the type that the op's rule promised.
 */
export function expandGraph(graph: Graph): Expansion {
  const kept = expansions.get(graph);
  if (kept !== undefined) return kept;
  let expansion: Expansion = { graph, images: graph.nodes.map((node) => node.id) };
  // A definition may use composites itself (attend uses softmax), so rounds go on until none is left.
  while (expansion.graph.nodes.some((node) => opTable[node.op].meaning.tag === "definition")) {
    const round = expandOnce(expansion.graph);
    expansion = { graph: round.graph, images: expansion.images.map((id) => round.images[id]!) };
  }
  expansions.set(graph, expansion);
  return expansion;
}

function expandOnce(graph: Graph): Expansion {
  const builder = new GraphBuilder();
  for (const symbol of graph.symbols) builder.declareSymbol(symbol);
  for (const state of graph.states) builder.declareState(state);
  const images: NodeId[] = [];
  for (const node of graph.nodes) {
    builder.origin = node.origin;
    images.push(
      expandNode(
        builder,
        node,
        node.inputs.map((id) => images[id]!),
      ),
    );
  }
  const outputs = graph.outputs.map(({ name, node }) => ({ name, node: images[node]! }));
  return { graph: builder.finish(graph.name, outputs), images };
}

function expandNode(builder: GraphBuilder, node: GraphNode, inputs: readonly NodeId[]): NodeId {
  // The attributes belong to the op; the pair is one that the type system cannot follow through a lookup.
  const { meaning } = opTable[node.op] as unknown as OpDefinition;
  const attributes = node.attributes as never;
  if (meaning.tag !== "definition") return builder.add(node.op, inputs, attributes);
  const result = meaning.define(builder, inputs, attributes, node.type);
  const type = builder.type(result);
  if (!typeEquals(type, node.type)) {
    throw new WeftError([
      internalProblem(node.op, "the definition must have the type that the op promises", {
        given: JSON.stringify({ promised: node.type, defined: type }),
        path: node.origin.path,
      }),
    ]);
  }
  return result;
}
