/** What both halves of an update are built on: the graph with its parameters as states, and the writes at its end. */
import {
  type Graph,
  GraphBuilder,
  type GraphNode,
  type NodeId,
  nearestName,
  type OpAttributes,
  type Origin,
  userProblem,
  WeftError,
} from "@weft/dsl";
import { gradientOutput } from "../grad/grad.ts";
import { blocksName } from "../quantize/names.ts";
import { attributesOf, copyNode, dropDead, liveNodes } from "../rewrite.ts";
import { blocksIn, optimizerStates, parameterIn, readState } from "./states.ts";

/** Writes of states, put behind everything that reads the old values. */
export class Writes {
  readonly #builder: GraphBuilder;
  readonly #all: { readonly state: string; readonly value: NodeId; readonly origin: Origin }[] = [];

  constructor(builder: GraphBuilder) {
    this.#builder = builder;
  }

  put(state: string, value: NodeId): void {
    this.#all.push({ state, value, origin: this.#builder.origin });
  }

  finish(): void {
    for (const { state, value, origin } of this.#all) {
      this.#builder.origin = origin;
      this.#builder.add("stateWrite", [value], { state });
    }
  }
}

/** A graph with gradients, copied with its trained parameters as states. */
export class TrainedGraph {
  readonly builder = new GraphBuilder();
  readonly gradients: readonly { readonly name: string; readonly node: NodeId }[];
  readonly loss: NodeId;
  readonly #graph: Graph;
  readonly #source: string;
  /** How the blocks of parameters are made that the graph reads in NVFP4. */
  readonly blocks = new Map<string, OpAttributes["quantizeNvfp4"]>();
  readonly #parameters = new Map<string, { readonly node: GraphNode; readonly copy: NodeId }>();
  readonly #outputs: ReadonlyMap<string, NodeId>;

  constructor(graph: Graph, source: string, loss: string) {
    this.#graph = graph;
    this.#source = source;
    const names = new Map(
      graph.nodes.flatMap((node): [string, string][] => {
        const name = parameterIn(node, () => true);
        return name === undefined ? [] : [[gradientOutput(name), name]];
      }),
    );
    const given = graph.outputs.filter((one) => names.has(one.name));
    const trained = new Set(given.map((one) => names.get(one.name)!));
    for (const symbol of graph.symbols) this.builder.declareSymbol(symbol);
    for (const state of graph.states) this.builder.declareState(state);
    const copies: NodeId[] = [];
    const live = liveNodes(graph);
    const blocks = blocksIn(graph, (one) => trained.has(one));
    for (const node of graph.nodes) {
      if (!live[node.id]) continue;
      this.builder.origin = node.origin;
      const name = parameterIn(node, (one) => trained.has(one));
      const scale = parameterIn(node, (one) => blocks.scales.has(one));
      const quantized = blocks.ofNode.get(node.id);
      const inputs = node.inputs.map((id) => copies[id]!);
      const state = quantized === undefined ? (name ?? scale) : blocksName(quantized);
      const copy =
        state === undefined
          ? copyNode(this.builder, node, inputs)
          : readState(this.builder, state, node.type);
      if (quantized !== undefined) this.blocks.set(quantized, attributesOf(node, "quantizeNvfp4"));
      copies[node.id] = copy;
      if (name !== undefined) this.#parameters.set(name, { node, copy });
    }
    this.#outputs = new Map(graph.outputs.map((one) => [one.name, copies[one.node]!]));
    this.loss = this.output(loss);
    this.gradients = given.map((one) => ({ name: names.get(one.name)!, node: copies[one.node]! }));
    // Graph and gradients were made before: only their order can be wrong.
    if (this.gradients.length === 0) {
      throw new WeftError([
        userProblem(source, "the graph must have gradients as outputs", { remedy: "run grad before" }),
      ]);
    }
    this.builder.origin = { path: "optimizer", composite: "gradientNorm" };
  }

  parameter(name: string): NodeId {
    return this.#parameters.get(name)!.copy;
  }

  parameterNode(name: string): GraphNode {
    return this.#parameters.get(name)!.node;
  }

  output(name: string): NodeId {
    const node = this.#outputs.get(name);
    if (node !== undefined) return node;
    const near = nearestName(name, [...this.#outputs.keys()]);
    throw new WeftError([
      userProblem(this.#source, "the loss and the count of tokens must be outputs of the graph", {
        given: JSON.stringify(name),
        remedy:
          near === undefined ? `outputs: ${[...this.#outputs.keys()].join(", ")}` : `did you mean "${near}"?`,
      }),
    ]);
  }

  /** What `accumulateGradients` has added up. */
  sums(tokensOutput: string) {
    this.output(tokensOutput);
    const { builder } = this;
    const scalar = { dtype: "f32", axes: [] } as const;
    const tokens = readState(builder, optimizerStates.tokens, scalar);
    const lossSum = readState(builder, optimizerStates.loss, scalar);
    const share = builder.add("reciprocal", [tokens], {});
    const loss = builder.add("mul", [lossSum, share], {});
    const zero = (from: NodeId) =>
      builder.add("select", [builder.add("less", [from, from], {}), from, builder.constant(0)], {});
    return {
      share,
      loss,
      tokens,
      gradient: (name: string) =>
        readState(builder, optimizerStates.gradient(name), {
          dtype: "f32",
          axes: this.parameterNode(name).type.axes,
        }),
      cleared: () => [
        { state: optimizerStates.loss, value: zero(loss) },
        { state: optimizerStates.tokens, value: zero(share) },
      ],
    };
  }

  /** With these outputs in place of the gradients and of older ones of the same name. */
  finish(outputs: readonly { readonly name: string; readonly node: NodeId }[]): Graph {
    const gone = new Set([
      ...this.gradients.map(({ name }) => gradientOutput(name)),
      ...outputs.map(({ name }) => name),
    ]);
    const kept = [...this.#outputs].flatMap(([name, node]) => (gone.has(name) ? [] : [{ name, node }]));
    return dropDead(this.builder.finish(this.#graph.name, [...kept, ...outputs]));
  }
}
