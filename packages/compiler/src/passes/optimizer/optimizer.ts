/**
 * optimizer: from a graph with gradients to one that updates its parameters in place.
 *
 * - The parameters that have a gradient become states under their own names, in the dtype in which they are stored; so
 *   do the moments. All of them are read and written by one kernel for each parameter.
 * - The gradients are scaled down where the norm of all of them is larger than `maxNorm`.
 * - A step whose loss or gradient norm is not finite changes nothing but the count of such steps.
 * - Rates and corrections are one small input, so that a schedule needs no other plan.
 *
 * It goes behind `precision`. `accumulateGradients` makes the other half where several passes make one update: it adds
 * up in states, from which the update is then made without the model.
 */
import {
  type Graph,
  GraphBuilder,
  type GraphNode,
  type NodeId,
  nearestName,
  type Origin,
  unsupportedProblem,
  userProblem,
  WeftError,
} from "@weft/dsl";
import { gradientOutput } from "../grad/grad.ts";
import type { Pass } from "../pass.ts";
import { copyNode, dropDead, liveNodes } from "../rewrite.ts";
import { finite, sumOfSquares } from "./global-norm.ts";
import { commonFields, hyperparametersInput, type UpdateRule } from "./rules.ts";
import { optimizerStates, parameterIn, readState } from "./states.ts";

/** Outputs that the pass adds: f32[]. */
export const optimizerOutputs = {
  /** The norm of all gradients before it is limited. */
  gradientNorm: "gradientNorm",
  /** How many updates have been left out so far, this one included. */
  skipped: "skipped",
} as const;

export interface OptimizerOptions {
  /** The output that is the loss. */
  readonly loss: string;
  readonly rule: UpdateRule;
  /** Whether a parameter decays. Default: matrices do; norms, biases and other vectors do not. */
  readonly decays?: (parameter: string, rank: number) => boolean;
  /**
   * The output that counts the tokens behind the loss, where the gradients are those that `accumulateGradients` has
   * added up: then loss and gradients are the means over all of them, and the sums begin anew.
   */
  readonly accumulatedTokens?: string;
}

/** @throws WeftError when the run finds no such output, or no gradients. */
export function optimizer(options: OptimizerOptions): Pass {
  const { rule, decays = (_, rank) => rank > 1 } = options;
  return {
    name: "optimizer",
    summary: `parameters are states that ${rule.name} updates in place`,
    run: (graph, log) => {
      const site = new TrainedGraph(graph, "optimizer", options.loss);
      const { builder } = site;
      const add = builder.add.bind(builder);
      const fields = [...commonFields, ...rule.fields];
      const given = add("input", [], {
        name: hyperparametersInput,
        dtype: "f32",
        axes: [{ name: hyperparametersInput, size: fields.length }],
      });
      const field = (name: string) => {
        const start = fields.indexOf(name);
        const cut = add("slice", [given], { axis: hyperparametersInput, start, size: 1 });
        return add("splitAxis", [cut], { axis: hyperparametersInput, into: [] });
      };
      const sums = options.accumulatedTokens === undefined ? undefined : site.sums(options.accumulatedTokens);
      const gradients = site.gradients.map(({ name, node }) => ({
        name,
        sum: sums?.gradient(name) ?? node,
      }));

      const squares = sumOfSquares(
        builder,
        gradients.map(({ sum }) => sum),
      );
      const norm = add("mul", [add("sqrt", [squares], {}), sums?.share ?? builder.constant(1)], {});
      const loss = sums?.loss ?? site.loss;
      const isSound = add(
        "mul",
        [
          add("cast", [finite(builder, loss)], { dtype: "f32" }),
          add("cast", [finite(builder, norm)], { dtype: "f32" }),
        ],
        {},
      );
      // As torch.nn.utils.clip_grad_norm_ has it.
      const limit = add("div", [field("maxNorm"), add("add", [norm, builder.constant(1e-6)], {})], {});
      const clip = add("min", [limit, builder.constant(1)], {});
      const scale = sums === undefined ? clip : add("mul", [clip, sums.share], {});
      const sound = add("less", [builder.constant(0), isSound], {});

      const writes = new Writes(builder);
      for (const { name, sum } of gradients) {
        log.fired(rule.name, name);
        builder.origin = { ...site.parameterNode(name).origin, composite: rule.name };
        const old = site.parameter(name);
        const { axes } = builder.type(old);
        refuseNarrow(site.parameterNode(name), name);
        const gradient = add("mul", [sum, scale], {});
        const update = rule.update({
          builder,
          parameter: name,
          weight: old,
          gradient,
          decays: decays(name, axes.length),
          field,
        });
        for (const state of update.states) {
          writes.put(state.name, add("select", [sound, state.value, state.old], {}));
        }
        writes.put(name, add("select", [sound, update.weight, old], {}));
        if (sums === undefined) continue;
        // Zero wherever it is, as a value of this kernel: nothing is less than itself, NaN included.
        const never = add("less", [gradient, gradient], {});
        const zero = add("select", [never, gradient, builder.constant(0)], {});
        writes.put(optimizerStates.gradient(name), zero);
      }
      builder.origin = { path: "optimizer", composite: "gradientNorm" };
      const skippedBefore = readState(builder, optimizerStates.skipped, { dtype: "f32", axes: [] });
      const skipped = add("add", [skippedBefore, add("sub", [builder.constant(1), isSound], {})], {});
      writes.put(optimizerStates.skipped, skipped);
      for (const { state, value } of sums?.cleared() ?? []) writes.put(state, value);
      writes.finish();
      return site.finish([
        { name: options.loss, node: loss },
        ...(sums === undefined ? [] : [{ name: options.accumulatedTokens!, node: sums.tokens }]),
        { name: optimizerOutputs.gradientNorm, node: norm },
        { name: optimizerOutputs.skipped, node: skipped },
      ]);
    },
  };
}

/** Rounded to the nearest bf16, most updates would be lost: they are smaller than half its last digit. */
function refuseNarrow({ type, origin }: GraphNode, name: string): void {
  if (type.dtype === "f32") return;
  throw new WeftError([
    unsupportedProblem("optimizer", "weights under training must be stored as f32", {
      given: `${type.dtype} for ${name}`,
      path: origin.path,
      remedy: "bf16 needs stochastic rounding, which no kernel does yet",
    }),
  ]);
}

export interface AccumulateOptions {
  readonly loss: string;
  /** The output that counts the tokens behind the loss, f32[]: each pass weighs by it. */
  readonly tokens: string;
}

/**
 * Gradients are added to states in place of being given out. Each pass counts by its tokens, so that passes of unequal
 * size give together what one pass over all of them would.
 */
export function accumulateGradients({ loss, tokens }: AccumulateOptions): Pass {
  return {
    name: "accumulateGradients",
    summary: "gradients, loss and tokens are added to states",
    run: (graph, log) => {
      const site = new TrainedGraph(graph, "accumulateGradients", loss);
      const { builder } = site;
      const add = builder.add.bind(builder);
      const count = site.output(tokens);
      // No token counts: the loss is 0 / 0 there, and says nothing.
      const counts = add("less", [builder.constant(0), count], {});
      const weigh = (value: NodeId) =>
        add("select", [counts, add("mul", [value, count], {}), builder.constant(0)], {});
      const writes = new Writes(builder);
      const addTo = (state: string, value: NodeId) => {
        const { axes } = builder.type(value);
        const before = readState(builder, state, { dtype: "f32", axes });
        writes.put(state, add("add", [before, value], {}));
      };
      for (const { name, node } of site.gradients) {
        log.fired("accumulate", name);
        builder.origin = { ...site.parameterNode(name).origin, composite: "accumulate" };
        addTo(optimizerStates.gradient(name), weigh(node));
      }
      builder.origin = { path: "optimizer", composite: "sum" };
      addTo(optimizerStates.loss, weigh(site.loss));
      addTo(optimizerStates.tokens, count);
      writes.finish();
      return site.finish([]);
    },
  };
}

/** Writes of states, put behind everything that reads the old values. */
class Writes {
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
class TrainedGraph {
  readonly builder = new GraphBuilder();
  readonly gradients: readonly { readonly name: string; readonly node: NodeId }[];
  readonly loss: NodeId;
  readonly #graph: Graph;
  readonly #source: string;
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
    for (const node of graph.nodes) {
      if (!live[node.id]) continue;
      this.builder.origin = node.origin;
      const name = parameterIn(node, (one) => trained.has(one));
      const inputs = node.inputs.map((id) => copies[id]!);
      const copy =
        name === undefined ? copyNode(this.builder, node, inputs) : readState(this.builder, name, node.type);
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
