/**
 * optimizer: from a graph with gradients to one that updates its parameters in place.
 *
 * - The parameters that have a gradient become states under their own names, in the dtype in which they are stored; so
 *   do the moments. All of them are read and written by one kernel for each parameter.
 * - The gradients are scaled down where the norm of all of them is larger than `maxNorm`.
 * - A step whose loss or gradient norm is not finite changes nothing but the count of such steps.
 * - Rates and corrections are one small input, so that a schedule needs no other plan.
 * - A parameter that is stored as bf16 is updated in f32 and rounded at random (`rounding`): there is no second copy.
 *
 * It goes behind `precision`. `accumulateGradients` makes the other half where several passes make one update: it adds
 * up in states, from which the update is then made without the model.
 */
import {
  type Axis,
  type Graph,
  type GraphBuilder,
  type GraphNode,
  type NodeId,
  nvfp4Block,
  unsupportedProblem,
  WeftError,
} from "@weft/dsl";
import type { Pass } from "../pass.ts";
import { finite, sumOfSquares } from "./global-norm.ts";
import type { RandomBits } from "./moments.ts";
import { commonFields, hyperparametersInput, roundingFields, type UpdateRule } from "./rules.ts";
import { optimizerStates, parameterIn, readState } from "./states.ts";
import { TrainedGraph, Writes } from "./trained-graph.ts";
import { writeBlocks } from "./write-blocks.ts";

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
  /**
   * How a new weight becomes bf16 where it is stored so: `stochastic`, by `stochasticRound`. The key of each step comes
   * with the hyperparameters, and each parameter's stream is a weight of the plan, `optimizer.stream.NAME`, f32[]: its
   * `roundingStream`; moments that are rounded have streams by the names of their states. Default: weights must be f32.
   */
  readonly rounding?: "stochastic";
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
      const rounds = options.rounding === "stochastic";
      const fields = [
        ...commonFields,
        ...rule.fields,
        ...(rounds || rule.roundsStates ? roundingFields : []),
      ];
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

      const randomOf = (name: string): RandomBits => {
        const stream = add("parameter", [], { name: optimizerStates.stream(name), dtype: "f32", axes: [] });
        return [field("keyLow"), field("keyHigh"), stream];
      };
      const large = largeMatrices(graph);
      const writes = new Writes(builder);
      for (const { name, sum } of gradients) {
        log.fired(rule.name, name);
        builder.origin = { ...site.parameterNode(name).origin, composite: rule.name };
        const { axes } = site.parameterNode(name).type;
        const mayNarrow = large.has(name);
        const { split, joined } = inBlocks(builder, axes, mayNarrow ? rule.blockOf : undefined);
        const old = split(site.parameter(name));
        const isNarrow = refuseNarrow(site.parameterNode(name), name, rounds);
        const gradient = add("mul", [split(sum), scale], {});
        const update = rule.update({
          builder,
          parameter: name,
          weight: isNarrow ? add("cast", [old], { dtype: "f32" }) : old,
          gradient,
          decays: decays(name, axes.length),
          field,
          mayNarrow,
          randomOf,
        });
        for (const { name: state, old: before, value, stored } of update.states) {
          const chosen = add("select", [sound, value, before], {});
          writes.put(state, stored === undefined ? chosen : stored(chosen));
        }
        const stored = isNarrow
          ? add("stochasticRound", [update.weight, ...randomOf(name)], {})
          : update.weight;
        const next = add("select", [sound, stored, old], {});
        writes.put(name, joined(next));
        const blocks = site.blocks.get(name);
        if (blocks !== undefined)
          writeBlocks(builder, writes, { name, weight: next, joined, sound, how: blocks });
        if (sums === undefined) continue;
        // Zero wherever it is, as a value of this kernel: nothing is less than itself, NaN included.
        const never = add("less", [gradient, gradient], {});
        const zero = add("select", [never, gradient, builder.constant(0)], {});
        writes.put(optimizerStates.gradient(name), joined(zero));
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

/** A parameter's values with the last axis in blocks, and such values as the parameter has them. */
function inBlocks(builder: GraphBuilder, axes: readonly Axis[], blockOf: UpdateRule["blockOf"]) {
  const last = axes.at(-1);
  if (blockOf === undefined || typeof last?.size !== "number") {
    const same = (value: NodeId): NodeId => value;
    return { split: same, joined: same };
  }
  const size = blockOf(last.size);
  const into = [
    { name: `${last.name}Block`, size: last.size / size },
    { name: `${last.name}InBlock`, size },
  ];
  const parts = into.map(({ name }) => name);
  return {
    split: (value: NodeId): NodeId => builder.add("splitAxis", [value], { axis: last.name, into }),
    joined: (value: NodeId): NodeId => builder.add("mergeAxes", [value], { axes: parts, into: last.name }),
  };
}

/**
 * Rounded to the nearest bf16, most updates would be lost: they are smaller than half its last digit.
 * @returns whether the parameter is stored as bf16 and is to be rounded at random
 */
function refuseNarrow({ type: { dtype }, origin }: GraphNode, name: string, rounds: boolean): boolean {
  if (dtype === "f32") return false;
  if (dtype === "bf16" && rounds) return true;
  throw new WeftError([
    unsupportedProblem("optimizer", "weights under training must be stored as f32", {
      given: `${dtype} for ${name}`,
      path: origin.path,
      remedy: `or as bf16 with the optimizer's option rounding: "stochastic"`,
    }),
  ]);
}

const fewestNarrow = 4096;

/** Whose moments may be kept in fewer bits: matrices of some size that are no table to look up. */
function largeMatrices({ nodes }: Graph): ReadonlySet<string> {
  const nameOf = (id: NodeId): string | undefined => {
    const node = nodes[id]!;
    return node.op === "cast" ? nameOf(node.inputs[0]!) : parameterIn(node, () => true);
  };
  const tables = new Set(nodes.flatMap(({ op, inputs }) => (op === "gather" ? [nameOf(inputs[0]!)] : [])));
  const large = nodes.flatMap((node) => {
    const name = parameterIn(node, (one) => !tables.has(one));
    const sizes = node.type.axes.map(({ size }) => (typeof size === "number" ? size : 0));
    const isLarge = sizes.length > 1 && sizes.reduce((product, size) => product * size, 1) >= fewestNarrow;
    return name !== undefined && isLarge && sizes.at(-1)! % nvfp4Block === 0 ? [name] : [];
  });
  return new Set(large);
}
