/**
 * Rewriting: every pass walks the nodes in order and adds to a new graph what each of them becomes. Nodes that no
 * output and no state write needs are dropped on the way.
 */
import {
  type Graph,
  GraphBuilder,
  type GraphNode,
  moveNode,
  type NodeId,
  type OpAttributes,
  type OpName,
} from "@weft/dsl";

const effects: ReadonlySet<OpName> = new Set(["stateWrite", "stateAppend"]);

/** Which nodes the outputs and effects of a graph need. */
export function liveNodes(graph: Graph): boolean[] {
  const live = new Array<boolean>(graph.nodes.length).fill(false);
  for (const output of graph.outputs) live[output.node] = true;
  for (let id = graph.nodes.length - 1; id >= 0; id--) {
    const node = graph.nodes[id]!;
    if (effects.has(node.op)) live[id] = true;
    if (live[id]) for (const input of node.inputs) live[input] = true;
  }
  return live;
}

/** For each node, the nodes that read it (each once). */
export function consumersOf(graph: Graph): NodeId[][] {
  const consumers: NodeId[][] = graph.nodes.map(() => []);
  for (const node of graph.nodes) {
    for (const input of new Set(node.inputs)) consumers[input]!.push(node.id);
  }
  return consumers;
}

/** A node of unchanged op and attributes over new inputs. */
export function copyNode(builder: GraphBuilder, node: GraphNode, inputs: readonly NodeId[]): NodeId {
  return builder.add(node.op, inputs, node.attributes as unknown as OpAttributes[OpName]);
}

/** An attribute record in the op's own type; the graph holds it as plain JSON. */
export function attributesOf<K extends OpName>(node: GraphNode, _op: K): OpAttributes[K] {
  return node.attributes as unknown as OpAttributes[K];
}

/**
 * Builds the rewritten graph. `visit` gives the node that replaces `node`, whose inputs are already replaced, or
 * undefined to keep it as it is.
 */
export function rewriteGraph(
  graph: Graph,
  visit: (builder: GraphBuilder, node: GraphNode, inputs: readonly NodeId[]) => NodeId | undefined,
): Graph {
  const live = liveNodes(graph);
  const builder = new GraphBuilder();
  for (const symbol of graph.symbols) builder.declareSymbol(symbol);
  for (const state of graph.states) builder.declareState(state);
  const replacement = new Array<NodeId>(graph.nodes.length).fill(-1);
  for (const node of graph.nodes) {
    if (!live[node.id]) continue;
    builder.origin = node.origin;
    const inputs = node.inputs.map((id) => replacement[id]!);
    replacement[node.id] = visit(builder, node, inputs) ?? copyNode(builder, node, inputs);
  }
  const finished = builder.finish(
    graph.name,
    graph.outputs.map((output) => ({ name: output.name, node: replacement[output.node]! })),
  );
  return dropDead(finished);
}

/** Removes nodes that nothing needs; ids are renumbered. */
export function dropDead(graph: Graph): Graph {
  const live = liveNodes(graph);
  if (live.every(Boolean)) return graph;
  const renumbered = new Array<NodeId>(graph.nodes.length).fill(-1);
  const nodes: GraphNode[] = [];
  for (const node of graph.nodes) {
    if (!live[node.id]) continue;
    renumbered[node.id] = nodes.length;
    const inputs = node.inputs.map((id) => renumbered[id]!);
    nodes.push(moveNode(node, nodes.length, inputs));
  }
  return {
    ...graph,
    nodes,
    outputs: graph.outputs.map((output) => ({ ...output, node: renumbered[output.node]! })),
  };
}
