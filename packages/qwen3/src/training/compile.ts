/** Compiles a Qwen3 model into one plan that trains it, and that evaluates and generates with the same weights. */
import {
  accumulateGradients,
  adamW,
  type Compiled,
  checkpoint,
  compile,
  compileWithinBudget,
  encodeScaleName,
  expandBlock,
  grad,
  lowering,
  makeBlocks,
  optimizer,
  type Pass,
  type PrecisionPolicy,
  type ProgramInput,
  packDocuments,
  parameterStates,
  precision,
  type QuantizedWeight,
  quantize,
  type Recomputation,
  type RecomputationRung,
  recomputeBy,
  rungAt,
  scalesBehind,
  type TrainedBlocks,
  tensorScaleName,
  type UpdateRule,
} from "@weft/compiler";
import {
  axis,
  chain,
  type Dtype,
  first,
  type Graph,
  GraphBuilder,
  meanCrossEntropy,
  type Problems,
} from "@weft/dsl";
import { type Either, map } from "fp-ts/lib/Either.js";
import { type Adapter, adapterParameters, adapterPass } from "../adapter/adapter.ts";
import type { Qwen3Config } from "../config/index.ts";
import { axesOf, qwen3Model } from "../model/block.ts";
import { type Qwen3CompileOptions, qwen3Programs } from "../model/compile.ts";

/**
 * `train`: one pass, one update. `accumulate` and `update`: several passes, one update. `loss`: forward only.
 * `gradients`: the loss and each gradient as an output. `blocks`: makes the NVFP4 form of what is trained from the weights.
 */
export type TrainingProgram = "train" | "accumulate" | "update" | "loss" | "gradients" | "blocks";

/** How a parameter is read in NVFP4; undefined for one that is not. */
export type Quantized = (parameter: string) => QuantizedWeight | TrainedBlocks | undefined;

export interface TrainingCompileOptions {
  /** The most tokens of one pass. */
  readonly sequence: number;
  readonly programs: readonly TrainingProgram[];
  readonly policy: PrecisionPolicy;
  /** How each parameter is stored. Those that are trained: f32, or bf16, which `rounding` must then allow. */
  readonly storage: (parameter: string) => Dtype;
  /** Which parameters are trained: they are states. All others are ordinary weights. */
  readonly trainable: (parameter: string) => boolean;
  /** Added to every program; `trainable` and `storage` are asked for its parameters too. */
  readonly adapter?: Adapter;
  /** Which weights products read in NVFP4: those that are trained from blocks that each update remakes, others as stored. */
  readonly quantized?: Quantized | undefined;
  /** Default: `adamW`. */
  readonly rule?: UpdateRule;
  /** Updates of weights that are stored as bf16 are rounded at random. */
  readonly rounding?: "stochastic";
  /** Which of the trained parameters decay. Default: matrices. */
  readonly decays?: (parameter: string, rank: number) => boolean;
  /** Programs `prefill` and `decode` that read the weights under training. */
  readonly generation?: Pick<Qwen3CompileOptions, "capacity" | "chunk" | "logits" | "candidates">;
  readonly fusion?: boolean;
  readonly record?: boolean;
  /** Positions of a chunk of the head and its loss, of which whole scores never exist. 0: whole scores. Default 256. */
  readonly lossChunk?: number | undefined;
  /** What is computed again on the way back. Default: `rows`. */
  readonly recompute?: Recomputation | undefined;
  /** The most bytes for activations, gradients and temporary values: more is computed again where it must be. */
  readonly activationBudget?: number | undefined;
}

/** A plan for training, and what it computes again on the way back. */
export interface CompiledTraining extends Compiled {
  readonly recomputation: RecomputationRung;
}

export const trainingOutputs = { loss: "loss", tokens: "tokens" } as const;

/** The symbol for the tokens of a pass: not the one of generation, whose steps have another limit. */
export const trainingLength = "length";

/**
 * The model with its loss: inputs `tokens` and `targets`, i32[seq]; outputs `loss`, the mean cross entropy over the
 * targets that are not negative, and `tokens`, how many those are.
 */
export function trainingGraph(config: Qwen3Config, sequence: number): Graph {
  const seq = axis("seq", { symbol: trainingLength, max: sequence });
  const { vocab } = axesOf(config);
  const graph = expandBlock(chain(first(qwen3Model(config)), meanCrossEntropy(vocab, seq)), {
    name: "qwen3-train",
    lead: [],
    inputNames: ["tokens", "targets"],
    outputName: trainingOutputs.loss,
  });
  const builder = new GraphBuilder();
  for (const symbol of graph.symbols) builder.declareSymbol(symbol);
  const copies: number[] = [];
  for (const node of graph.nodes) {
    builder.origin = node.origin;
    const inputs = node.inputs.map((id) => copies[id]!);
    copies.push(builder.add(node.op, inputs, node.attributes as never));
  }
  builder.origin = { path: trainingOutputs.tokens };
  const targets = graph.nodes.find(({ op, attributes }) => op === "input" && attributes.name === "targets")!;
  const isCounted = builder.add("lessEqual", [builder.constant(0, "i32"), copies[targets.id]!], {});
  const counted = builder.add("cast", [isCounted], { dtype: "f32" });
  const tokens = builder.add("reduceSum", [counted], { axis: seq.name });
  return builder.finish(graph.name, [
    ...graph.outputs.map(({ name, node }) => ({ name, node: copies[node]! })),
    { name: trainingOutputs.tokens, node: tokens },
  ]);
}

/** Which kernels there are. What is not fused has none for a loss in chunks. */
function kernelsOf({ fusion = true, lossChunk = 256 }: TrainingCompileOptions) {
  return { fusion, ...(fusion && lossChunk > 0 ? { lossChunk } : {}) };
}

/** The programs as graphs and passes. */
export function trainingPrograms(
  config: Qwen3Config,
  options: TrainingCompileOptions,
  rung: RecomputationRung,
): ProgramInput[] {
  const { policy, trainable, adapter, rule = adamW, generation } = options;
  const graph = trainingGraph(config, options.sequence);
  const { loss, tokens } = trainingOutputs;
  const names = [
    ...graph.nodes.flatMap(({ op, attributes }) => (op === "parameter" ? [attributes.name as string] : [])),
    ...(adapter === undefined ? [] : adapterParameters(adapter).map(({ name }) => name)),
  ];
  const trained = names.filter((name) => trainable(name));
  const { quantized } = options;
  const forward: Pass[] = [
    ...(adapter === undefined ? [] : [adapterPass(adapter)]),
    ...(quantized === undefined ? [] : [quantize({ weights: quantized })]),
    packDocuments(),
  ];
  const inBlocks = quantized === undefined ? [] : names.filter((name) => quantized(name) !== undefined);
  const scales = new Set(inBlocks.flatMap((name) => [encodeScaleName(name), tensorScaleName(name)]));
  const storage = (name: string): Dtype => (scales.has(name) ? "f32" : options.storage(name));
  // Under bf16, products read a rounding of an f32 master.
  const stored = precision({ policy, storage, roundWeights: true });
  const gradients: Pass[] = [
    ...forward,
    grad({ loss, parameters: trained }),
    ...(inBlocks.length === 0 ? [] : [scalesBehind(inBlocks)]),
    stored,
  ];
  const backward = [
    ...gradients,
    ...lowering(kernelsOf(options)),
    checkpoint({ loss, recompute: recomputeBy(rung) }),
  ];
  const update = {
    rule,
    ...(options.decays === undefined ? {} : { decays: options.decays }),
    ...(options.rounding === undefined ? {} : { rounding: options.rounding }),
  };
  const shared = parameterStates(trainable);
  const passes: Record<TrainingProgram, readonly Pass[]> = {
    train: [...backward, optimizer({ loss, ...update })],
    accumulate: [...backward, accumulateGradients({ loss, tokens })],
    update: [...backward, optimizer({ loss, accumulatedTokens: tokens, ...update })],
    loss: [...forward, stored, shared],
    gradients: [...backward, shared],
    blocks: [...forward, stored, makeBlocks(trainable)],
  };
  const programs = options.programs.map((name): ProgramInput => ({ name, graph, passes: passes[name] }));
  if (generation === undefined) return programs;
  const generating = qwen3Programs(config, {
    ...generation,
    policy,
    storage,
    roundWeights: true,
    ...(adapter === undefined ? {} : { adapter }),
    ...(quantized === undefined ? {} : { quantized }),
  }).map((one) => ({
    ...one,
    passes: [...one.passes, shared],
  }));
  return [...programs, ...generating];
}

/** Left: every problem of the first program that has any, or a budget that is too small. */
export function compileTraining(
  config: Qwen3Config,
  options: TrainingCompileOptions,
): Either<Problems, CompiledTraining> {
  const { record = true, activationBudget, recompute = "rows" } = options;
  const compileAt = (rung: RecomputationRung) =>
    map((compiled: Compiled): CompiledTraining => ({ ...compiled, recomputation: rung }))(
      compile(trainingPrograms(config, options, rung), {
        name: "qwen3-train",
        record,
        ...kernelsOf(options),
      }),
    );
  const blocks = config.layers;
  if (activationBudget === undefined) return compileAt(rungAt(0, blocks, recompute));
  const found = compileWithinBudget({ bytes: activationBudget, blocks, from: recompute }, compileAt);
  return map(({ compiled }: { readonly compiled: CompiledTraining }) => compiled)(found);
}
