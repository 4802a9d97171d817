/** Parameters as states: weights that a program writes, or reads while another program of the plan writes them. */
import type { Graph, GraphBuilder, GraphNode, NodeId, TensorType } from "@weft/dsl";
import type { Pass } from "../pass.ts";
import { blocksName, encodeScaleName, tensorScaleName } from "../quantize/names.ts";
import { attributesOf, rewriteGraph } from "../rewrite.ts";

const streamPrefix = "optimizer.stream.";

/** Names of the states beside the parameters themselves, which keep their own. */
export const optimizerStates = {
  firstMoment: (parameter: string) => `optimizer.firstMoment.${parameter}`,
  secondMoment: (parameter: string) => `optimizer.secondMoment.${parameter}`,
  /** f32[rows]: what the codes of a first moment in NVFP4 are multiplied by, row by row. */
  firstScale: (parameter: string) => `optimizer.firstScale.${parameter}`,
  /** In place of the second moment where it is kept in NVFP4: its root, and the scales of that. */
  secondRoot: (parameter: string) => `optimizer.secondRoot.${parameter}`,
  secondScale: (parameter: string) => `optimizer.secondScale.${parameter}`,
  momentum: (parameter: string) => `optimizer.momentum.${parameter}`,
  /** f32[]: the largest magnitude of a parameter that is read in NVFP4. Its next blocks are scaled by it. */
  largest: (parameter: string) => `optimizer.largest.${parameter}`,
  /** The gradients of the passes since the last update, each weighed by its number of counted tokens. */
  gradient: (parameter: string) => `optimizer.gradient.${parameter}`,
  /** A weight of the plan, f32[]: the stream of random bits that the parameter is rounded with. */
  stream: (parameter: string) => `${streamPrefix}${parameter}`,
  /** f32[]: sums that belong to these gradients. */
  loss: "optimizer.loss",
  tokens: "optimizer.tokens",
  /** f32[]: how many updates were left out because the loss or the gradients were not finite. Exact up to 2^24. */
  skipped: "optimizer.skipped",
} as const;

/** The parameter whose stream a weight of this name is; undefined for any other weight. */
export function parameterOfStream(weight: string): string | undefined {
  return weight.startsWith(streamPrefix) ? weight.slice(streamPrefix.length) : undefined;
}

/** Reads a state that is declared on the way. */
export function readState(builder: GraphBuilder, name: string, { dtype, axes }: TensorType): NodeId {
  builder.declareState({ name, type: { dtype, axes } });
  return builder.add("stateRead", [], { state: name, dtype, axes });
}

/** Whether a node is a parameter of the given ones; its name then. */
export function parameterIn(node: GraphNode, trained: (name: string) => boolean): string | undefined {
  if (node.op !== "parameter") return undefined;
  const { name } = attributesOf(node, "parameter");
  return trained(name) ? name : undefined;
}

/**
 * Parameters are read from states of the same name and dtype, so that this program sees what a training program of the
 * same plan has made of them: evaluation and generation need no second copy. It goes behind `precision`, which says how
 * they are stored.
 */
export function parameterStates(trained: (name: string) => boolean): Pass {
  return {
    name: "parameterStates",
    summary: "trained parameters are states, shared with the programs that train them",
    run: (graph, log) => {
      const blocks = blocksIn(graph, trained);
      return rewriteGraph(graph, (builder, node) => {
        const own = blocks.ofNode.get(node.id);
        if (own !== undefined) return readState(builder, blocksName(own), node.type);
        const name = parameterIn(node, (one) => trained(one) || blocks.scales.has(one));
        if (name === undefined) return undefined;
        log.fired("a parameter is a state", name);
        return readState(builder, name, node.type);
      });
    },
  };
}

/** The blocks of trained parameters that a graph makes: states, too, which an update leaves behind. */
export interface TrainedBlocksIn {
  /** The parameter, by the node that makes its blocks. */
  readonly ofNode: ReadonlyMap<NodeId, string>;
  /** Names of what they are scaled by. */
  readonly scales: ReadonlySet<string>;
}

export function blocksIn(graph: Graph, trained: (name: string) => boolean): TrainedBlocksIn {
  const ofNode = new Map<NodeId, string>();
  for (const { id, op, inputs } of graph.nodes) {
    if (op !== "quantizeNvfp4") continue;
    const source = graph.nodes[inputs[0]!]!;
    const weight = source.op === "cast" ? graph.nodes[source.inputs[0]!]! : source;
    const name = parameterIn(weight, trained);
    if (name !== undefined) ofNode.set(id, name);
  }
  return {
    ofNode,
    scales: new Set([...ofNode.values()].flatMap((name) => [encodeScaleName(name), tensorScaleName(name)])),
  };
}
