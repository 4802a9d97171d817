/**
 * Everything about a checkpoint that needs no device: configuration, where each weight lies, the plan. What only asks
 * questions (how much memory, which kernels, why) stops here.
 */
import { type Compiled, expandBlock } from "@weft/compiler";
import {
  type AnyBlock,
  asBlock,
  axis,
  type BlockLike,
  formatWire,
  graphToJson,
  type Parameter,
  parametersOf,
  tensorWire,
  wireEquals,
} from "@weft/dsl";
import { cacheDirectory, type Weight, type WeightSource } from "@weft/runtime";
import { sequenceS } from "fp-ts/lib/Apply.js";
import * as Either from "fp-ts/lib/Either.js";
import { pipe } from "fp-ts/lib/function.js";
import { type OpenedAdapter, openAdapter } from "../adapter/files.ts";
import {
  type GenerationConfig,
  type Qwen3Config,
  readGenerationConfig,
  readQwen3Config,
} from "../config/index.ts";
import { directoryOf, kindOfPath } from "../config/json-file.ts";
import { type Checked, collecting, type Problems, unlessProblems, userProblem } from "../config/problems.ts";
import { compileQwen3, qwen3Model } from "../model/index.ts";
import { headName, plainHeadName } from "../quantize/items.ts";
import {
  type Checkpoint,
  checkQuantization,
  checkScales,
  openCheckpoint,
  type RequiredTensor,
} from "../weights/index.ts";
import { orRaise } from "./checkpoint-text.ts";
import { encodedWeights, unfilledWeight } from "./encoded-weights.ts";
import { decideFormats, type Formats } from "./formats.ts";
import { type OpenOptions, type ResolvedOpenOptions, resolveOpenOptions } from "./options.ts";
import { planKey, readPlan, writePlan } from "./plan-cache.ts";
import { asStored, bindStored, type StoredModel, storageOf, weightSource } from "./stored-model.ts";

export interface PreparedQwen3 {
  readonly directory: string;
  readonly config: Qwen3Config;
  readonly generationConfig: GenerationConfig;
  readonly checkpoint: Checkpoint;
  readonly parameters: readonly Parameter[];
  /** Which linears are in NVFP4 or FP8, and why. */
  readonly formats: Formats;
  /** Of the model's parameters and of the adapter's, by their names in the graph. */
  readonly bound: StoredModel;
  readonly adapter: OpenedAdapter | undefined;
  readonly options: ResolvedOpenOptions;
  readonly compiled: Compiled;
  /**
   * Where a device finds each weight of the plan, but for those that are encoded at load (`bound.encode`); and the encode
   * scales of those in NVFP4, which training begins with.
   */
  readonly weights: Readonly<Record<string, Weight>>;
}

/**
 * Reads the headers of a checkpoint and compiles its model; no weight is read.
 *
 * @param path its directory, or one file of weights with everything else beside it
 *
 * Left: everything that is wrong with config.json, generation_config.json and the weight files together; then rules of
 * formats that do not fit the checkpoint; then all missing or misshapen weights together; then all options that make no
 * sense.
 * @param onCompile called when the files are read and compiling begins
 */
export function prepareQwen3(
  path: string,
  { record = true, planCache = cacheDirectory("plans"), ...options }: OpenOptions = {},
  onCompile: () => void = () => {},
): Either.Either<Problems, PreparedQwen3> {
  const checkpoint = openCheckpoint(path);
  // Without the directory, what it should hold is no cause of its own.
  if (Either.isLeft(checkpoint) && kindOfPath(path) === "absent") return checkpoint;
  const directory = directoryOf(path);
  const config = readQwen3Config(directory);
  const parts = sequenceS(collecting)({
    config,
    generationConfig: Either.isRight(config)
      ? readGenerationConfig(directory, config.right.vocabSize)
      : readGenerationConfig(directory, Number.MAX_SAFE_INTEGER),
    checkpoint,
  });
  return pipe(
    parts,
    Either.chainFirst(({ checkpoint }) => checkQuantization(directory, checkpoint)),
    Either.bind("formats", ({ config, checkpoint }) => decideFormats(checkpoint, config, options)),
    Either.map((read) => ({ ...read, config: read.formats.config })),
    Either.bind("model", ({ config }) => ownModel(options.model, config)),
    Either.bind("parameters", ({ config, formats, model }) => loadedParameters(config, formats, model)),
    Either.bind("base", ({ parameters, checkpoint, formats }) => bindStored(parameters, checkpoint, formats)),
    Either.bind("adapter", ({ config }) =>
      options.adapter === undefined ? Either.right(undefined) : openAdapter(options.adapter, config),
    ),
    Either.bind("options", ({ config, formats }) =>
      resolveOpenOptions(options, config, formats.plainHead !== undefined),
    ),
    Either.let("bound", ({ base, adapter }) =>
      adapter === undefined ? base : { ...base, tensors: new Map([...base.tensors, ...adapter.tensors]) },
    ),
    Either.bind("compiled", (parts) => {
      onCompile();
      return record ? compileBound(parts, true) : compiledBefore(parts, planCache);
    }),
    Either.map(({ base, model: _, ...prepared }) => ({
      directory,
      ...prepared,
      weights: { ...weightSource(prepared.parameters, base), ...prepared.adapter?.weights },
    })),
  );
}

/** All weights of the plan, for predictions of memory only: those that are encoded at load have no values yet. */
export const weightsToPredict =
  ({ weights, parameters, bound }: PreparedQwen3): WeightSource =>
  (name) =>
    weights[name] ?? unfilledWeight(parameters, bound, name);

/**
 * The parameters of a model as a checkpoint has to hold them.
 * @param model one of the caller's own in the place of Qwen3's
 */
export function requiredTensors(config: Qwen3Config, model?: BlockLike): RequiredTensor[] {
  return asStored(orRaise(modelParameters(config, orRaise(ownModel(model, config)))));
}

/** A model's configuration and where a checkpoint holds each of its parameters. */
export interface CheckpointWeights {
  readonly directory: string;
  readonly config: Qwen3Config;
  /**
   * Shapes are those of the model's axes; of what is in NVFP4 the matrix, with the scales of the tensor beside it. What
   * rules quantise is left out.
   */
  readonly weights: Readonly<Record<string, Weight>>;
  /** All of them, to plan with: those that rules quantise have no values yet. */
  readonly toPredict: (name: string) => Weight | undefined;
  /**
   * All of them: block scales of the checkpoint are checked, and what rules quantise is encoded now.
   * @throws WeftError for scales that are no numbers, and for linears with NaN or infinity
   */
  readonly load: () => Promise<Readonly<Record<string, Weight>>>;
}

export interface CheckpointWeightsOptions {
  /** Plain linears that are encoded in NVFP4 when the weights are loaded. Default: none. */
  readonly quantize?: OpenOptions["quantize"];
  /** Two scales are tried for each block that is encoded. Default false. */
  readonly fourOverSix?: boolean;
}

/** Reads the headers of a checkpoint. Left: as `prepareQwen3`, but for generation_config.json. */
export function readCheckpointWeights(
  path: string,
  { quantize, fourOverSix }: CheckpointWeightsOptions = {},
): Either.Either<Problems, CheckpointWeights> {
  const checkpoint = openCheckpoint(path);
  if (Either.isLeft(checkpoint) && kindOfPath(path) === "absent") return checkpoint;
  const directory = directoryOf(path);
  return pipe(
    sequenceS(collecting)({ config: readQwen3Config(directory), checkpoint }),
    Either.chainFirst(({ checkpoint }) => checkQuantization(directory, checkpoint)),
    // Nothing is generated, so candidates are not scored again.
    Either.bind("formats", ({ config, checkpoint }) =>
      decideFormats(checkpoint, config, { quantize, fourOverSix, rescore: false }),
    ),
    Either.map((read) => ({ ...read, config: read.formats.config })),
    Either.bind("parameters", ({ config }) => modelParameters(config)),
    Either.bind("bound", ({ parameters, checkpoint, formats }) =>
      bindStored(parameters, checkpoint, formats),
    ),
    Either.map(({ config, parameters, bound }) => {
      const weights = weightSource(parameters, bound);
      const unfilled = new Map<string, Weight | undefined>();
      return {
        directory,
        config,
        weights,
        toPredict: (name) => {
          if (weights[name] !== undefined) return weights[name];
          if (!unfilled.has(name)) unfilled.set(name, unfilledWeight(parameters, bound, name));
          return unfilled.get(name);
        },
        load: async () => {
          orRaise(await checkScales(bound.linears.values()));
          return { ...weights, ...(await encodedWeights(parameters, bound)) };
        },
      };
    }),
  );
}

/** Those of the model, and the plain rows of a quantised head where these are no table. */
const loadedParameters = (
  config: Qwen3Config,
  { plainHead }: Formats,
  model: AnyBlock | undefined,
): Checked<readonly Parameter[]> =>
  Either.map((parameters: readonly Parameter[]) => {
    const head = parameters.find(({ name }) => name === headName);
    const own = plainHead?.name === plainHeadName && head !== undefined;
    return own ? [...parameters, { ...head, name: plainHeadName }] : parameters;
  })(modelParameters(config, model));

export const modelParameters = (config: Qwen3Config, model?: AnyBlock): Checked<readonly Parameter[]> =>
  parametersOf(model ?? qwen3Model(config));

/** Left: a model whose wires are not those of token ids and logits. */
export function ownModel(
  given: OpenOptions["model"],
  { vocabSize }: Qwen3Config,
): Checked<AnyBlock | undefined> {
  if (given === undefined) return Either.right(undefined);
  const model = asBlock(given, "model");
  const wanted = {
    input: tensorWire([], "int"),
    output: tensorWire([axis("vocab", vocabSize)], "float"),
  };
  const problems = (["input", "output"] as const).flatMap((side) =>
    wireEquals(model[side], wanted[side])
      ? []
      : [
          userProblem("model", `the ${side} must be ${formatWire(wanted[side], { sizes: true })}`, {
            given: formatWire(model[side], { sizes: true }),
            remedy: "a model takes token ids and gives logits over the vocabulary of config.json",
          }),
        ],
  );
  return unlessProblems(problems, () => model);
}

interface CompiledParts {
  readonly config: Qwen3Config;
  readonly formats: Formats;
  readonly bound: StoredModel;
  readonly adapter: OpenedAdapter | undefined;
  readonly model: AnyBlock | undefined;
  readonly options: ResolvedOpenOptions;
}

function compileBound(
  { config, formats, bound, adapter, model, options }: CompiledParts,
  record: boolean,
): Checked<Compiled> {
  const { dtype, capacity, chunk, logits, observe, candidates, fusion } = options;
  const isPlain = bound.linears.size === 0 && bound.encode.size === 0;
  return compileQwen3(config, {
    capacity,
    chunk,
    policy: dtype,
    storage: (name) =>
      // Vectors (norms, biases) are small and sensitive: they stay as they are under any policy.
      dtype === "bf16" && (bound.tensors.get(name)?.shape.length ?? 0) > 1 ? "bf16" : storageOf(bound, name),
    quantized: isPlain ? undefined : formats.quantizedAs,
    reasons: formats.reasons,
    rescore: formats.plainHead?.name,
    logits,
    observe,
    candidates,
    adapter: adapter?.adapter,
    model,
    fusion,
    record,
  });
}

/** The plan of an earlier start with the same inputs, or a new one that the next start will find. */
function compiledBefore(parts: CompiledParts, directory: string | false): Checked<Compiled> {
  const { config, formats, bound, adapter, model, options } = parts;
  if (directory === false || directory === "") return compileBound(parts, false);
  const stored = [
    ...[...bound.tensors].map(([name, { dtype, shape }]) => [name, dtype, shape.length]),
    ...[...bound.linears.keys(), ...bound.encode.keys()].map((name) => [name, formats.quantizedAs(name)]),
  ];
  const rows = formats.plainHead?.name ?? null;
  const own =
    model === undefined
      ? null
      : graphToJson(expandBlock(model, { name: "model", lead: [axis("seq", { symbol: "seq", max: 2 })] }));
  const key = planKey([{ ...config, file: "" }, options, stored, rows, adapter?.adapter ?? null, own]);
  const found = readPlan(directory, key);
  if (found !== undefined) return Either.right(found);
  const compiled = compileBound(parts, false);
  if (Either.isRight(compiled)) writePlan(directory, key, compiled.right);
  return compiled;
}
