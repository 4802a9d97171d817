/** A model under training: its plan loaded on a device, its weights and the optimizer's moments in the plan's states. */
import {
  type Compiled,
  encodeScaleName,
  gradientOutput,
  hyperparametersInput,
  type MomentFormat,
  optimizerOutputs,
  optimizerStates,
  type PrecisionPolicy,
} from "@weft/compiler";
import { type Dtype, nearestName } from "@weft/dsl";
import type { Device, Executable, MemoryTable, StateArray, Weight, WeightSource } from "@weft/runtime";
import { type Adapter, adapterParameters } from "../adapter/adapter.ts";
import { initialAdapter } from "../adapter/initial.ts";
import type { Qwen3Config } from "../config/index.ts";
import { type Problem, userProblem, WeftError } from "../config/problems.ts";
import { ChangingWeights } from "../inference/changing-weights.ts";
import { orRaise } from "../inference/checkpoint-text.ts";
import type { Engine } from "../inference/engine.ts";
import type { LanguageModel } from "../inference/language-model.ts";
import { modelParameters } from "../inference/prepare.ts";
import { checkTokenIds } from "../text/token-ids.ts";
import type { TrainingBatch } from "./batch.ts";
import { makeBlocks, parametersInBlocks, quantizedBy, readBlocks } from "./blocks.ts";
import { type CompiledTraining, compileTraining, type TrainingProgram, trainingLength } from "./compile.ts";
import { fillStates } from "./fill-states.ts";
import { generationEngine, TrainingGenerator } from "./generating.ts";
import type { StoredBlocks } from "./stored-blocks.ts";
import type { StepResult } from "./trainable.ts";
import { checkOptions, type TrainingOptions, trainedBy } from "./training-options.ts";
import {
  hyperparametersOf,
  type RuleName,
  type StepHyperparameters,
  trainingWeights,
  updateRule,
} from "./update-rule.ts";

/**
 * Compiles the programs of a training run. Weights that are not trained are stored as `weights` has them.
 * @throws WeftError for what the compiler refuses
 */
export function compileTrainingModel(
  config: Qwen3Config,
  weights: (name: string) => Weight | undefined,
  options: TrainingOptions,
): CompiledTraining {
  checkOptions(options);
  const { policy = "f32", rule = "adamw", trainedDtype = "f32", moments } = options;
  const { adapter, trainable } = trainedBy(config, options);
  const floatOf = (name: string): Dtype => weights(name)?.dtype ?? "f32";
  const quantized = quantizedBy(config, options.quantize, trainable, weights);
  const isInStates = orRaise(modelParameters(config)).some(
    ({ name }) => trainable(name) && quantized?.(name) !== undefined,
  );
  const parameters = new Set(
    [...orRaise(modelParameters(config)), ...(adapter === undefined ? [] : adapterParameters(adapter))].map(
      ({ name }) => name,
    ),
  );
  // What passes add beside them, scales of blocks for one, stays f32.
  const isTrained = (name: string) => parameters.has(name) && trainable(name);
  return orRaise(
    compileTraining(config, {
      sequence: options.sequence,
      programs: [...(options.programs ?? ["train", "loss"]), ...(isInStates ? (["blocks"] as const) : [])],
      quantized,
      policy,
      trainable,
      storage: (name) => (isTrained(name) ? trainedDtype : floatOf(name)),
      rule: updateRule(rule, moments),
      ...(trainedDtype === "bf16" ? { rounding: "stochastic" } : {}),
      ...(adapter === undefined ? {} : { adapter }),
      record: options.record ?? false,
      recompute: options.recompute,
      activationBudget: options.activationBudget,
      ...(options.lossChunk === undefined ? {} : { lossChunk: options.lossChunk }),
      ...(options.decays === undefined ? {} : { decays: options.decays }),
      ...(options.generation === undefined ? {} : { generation: options.generation }),
      ...(options.fusion === undefined ? {} : { fusion: options.fusion }),
    }),
  );
}

/**
 * Loads a model for training on a device that the caller keeps.
 * @param weights where each parameter comes from: a checkpoint's files, or `initialWeights`.
 * @throws WeftError for what the compiler or the device refuses
 * @example
 * const { config, weights } = orThrow(readCheckpointWeights("models/Qwen3-0.6B"));
 * using model = await openTrainingModel(config, weights, device, { sequence: 1024 });
 * const { loss } = await model.step(batchOf([{ tokens }]), { learningRate: 1e-5 });
 */
export async function openTrainingModel(
  config: Qwen3Config,
  weights: WeightSource,
  device: Device,
  options: TrainingOptions,
  compiled?: Compiled,
): Promise<TrainingModel> {
  const weightOf = trainingWeights(weights);
  const { plan } = compiled ?? compileTrainingModel(config, weightOf, options);
  const executable = await device.load(plan, weightOf, {
    ...(options.memoryLimitBytes === undefined ? {} : { memoryLimitBytes: options.memoryLimitBytes }),
  });
  try {
    const { adapter, trainable } = trainedBy(config, options);
    const begun = adapter && initialAdapter(adapter, options.lora?.seed ?? 0);
    const parameters = [
      ...orRaise(modelParameters(config)),
      ...(adapter === undefined ? [] : adapterParameters(adapter)),
    ];
    const names = parameters.flatMap(({ name }) => (trainable(name) ? [name] : []));
    await fillStates(executable, names, (name) => begun?.(name) ?? weightOf(name));
    return new TrainingModel(config, executable, names, { ...options, adapter });
  } catch (error) {
    executable[Symbol.dispose]();
    throw error;
  }
}

export class TrainingModel {
  readonly config: Qwen3Config;
  readonly executable: Executable;
  /** Names of the trained parameters, in the order of the model. */
  readonly trained: readonly string[];
  /** Those of them that products read in NVFP4. */
  readonly quantized: readonly string[];
  /** Of their blocks, two scales are tried. */
  readonly fourOverSix: boolean;
  readonly rule: RuleName;
  /** How the trained parameters are stored. */
  readonly trainedDtype: "f32" | "bf16";
  /** How moments of large matrices are kept. */
  readonly moments: MomentFormat;
  /** What products compute in. */
  readonly policy: PrecisionPolicy;
  /** What is trained in place of the model's own parameters. */
  readonly adapter: Adapter | undefined;
  readonly #weights = new ChangingWeights();
  #engine: Engine | undefined;
  #updates = 0;
  #skipped = 0;

  constructor(
    config: Qwen3Config,
    executable: Executable,
    trained: readonly string[],
    {
      rule = "adamw",
      trainedDtype = "f32",
      moments = "f32",
      policy = "f32",
      quantize,
      adapter,
    }: Pick<TrainingOptions, "rule" | "trainedDtype" | "moments" | "policy" | "quantize"> & {
      readonly adapter?: Adapter | undefined;
    } = {},
  ) {
    this.config = config;
    this.executable = executable;
    this.trained = trained;
    this.quantized = parametersInBlocks(executable.plan, trained);
    this.fourOverSix = quantize?.fourOverSix ?? false;
    this.rule = rule;
    this.trainedDtype = trainedDtype;
    this.moments = moments;
    this.policy = policy;
    this.adapter = adapter;
  }

  /**
   * The model as one to generate and chat with, as `openQwen3` gives it: `generate(model.generator(directory), prompt)`,
   * `new Session(model.generator(directory))`. It reads the very weights that training writes. An update waits for a step
   * of a text that is under way; whatever is generated behind it is the new weights', for which a session runs its
   * conversation again.
   * @param directory tokenizer.json, tokenizer_config.json and, where there is one, generation_config.json
   * @throws WeftError when the model was opened without `generation`
   */
  generator(directory: string): LanguageModel {
    this.#engine ??= generationEngine(this.executable, this.#weights);
    const { config, executable, trained, adapter } = this;
    return new TrainingGenerator(directory, {
      config,
      adapter,
      policy: this.policy,
      engine: this.#engine,
      executable,
      trained,
    });
  }

  /**
   * Replaces a trained parameter or a state of the optimizer, as `Executable.writeState` does. The array must stay as it is
   * until that is done. What is read in NVFP4 has other blocks then, before anything reads it: a parameter's scale is made
   * from its values, unless `PARAMETER.encode_scale` is written behind it.
   */
  writeState(name: string, values: StateArray): Promise<void> {
    const write = () => this.executable.writeState(name, values);
    const remake = () => makeBlocks(this.executable);
    if (this.quantized.includes(name)) {
      const unknown = new Float32Array(1);
      return this.#weights.replace(async () => {
        await write();
        await this.executable.writeState(encodeScaleName(name), unknown);
      }, remake);
    }
    const isScale = this.quantized.some((one) => encodeScaleName(one) === name);
    return this.#weights.replace(write, isScale ? remake : undefined);
  }

  /**
   * What products read of a trained parameter, as files have it.
   * @throws WeftError for a parameter that is not read in NVFP4
   */
  async blocks(name: string): Promise<StoredBlocks> {
    if (!this.quantized.includes(name)) {
      throw new WeftError([
        userProblem("training", "the parameter must be one that is read in nvfp4", {
          given: JSON.stringify(name),
          remedy: "open the model with `quantize`, or from a checkpoint in nvfp4",
        }),
      ]);
    }
    return this.#weights.read(() => readBlocks(this.executable, name));
  }

  /** Updates that were made so far: bias correction counts by it. */
  get updates(): number {
    return this.#updates;
  }

  /** Goes on behind so many updates, whose weights and moments were written to the states before. */
  async resume(updates: number): Promise<void> {
    const [skipped] = await this.executable.readState(optimizerStates.skipped);
    this.#skipped = skipped!;
    this.#updates = updates;
  }

  /**
   * One update from one batch, or from several, whose tokens count alike.
   * @throws WeftError for tokens that are not the vocabulary's, a batch that does not fit, and hyperparameters of nonsense
   */
  async step(
    batches: TrainingBatch | readonly TrainingBatch[],
    hyperparameters: StepHyperparameters,
  ): Promise<StepResult> {
    const all = Array.isArray(batches) ? (batches as readonly TrainingBatch[]) : [batches as TrainingBatch];
    const rounds = this.trainedDtype === "bf16" || this.moments !== "f32";
    const hyper = hyperparametersOf(this.rule, hyperparameters, this.#updates + 1, rounds);
    for (const batch of all) this.#check(batch);
    const [only] = all;
    if (only === undefined) throw new WeftError([userProblem("training", "a step needs a batch")]);
    if (all.length === 1 && this.#has("train"))
      return this.#update("train", inputsOf(only, hyper), only.tokens.length);
    for (const batch of all) {
      await this.#weights.read(() => this.#run("accumulate", inputsOf(batch), batch.tokens.length, {}));
    }
    return this.#update("update", { [hyperparametersInput]: hyper }, 0);
  }

  /** The mean cross entropy of a batch under the present weights, and how many targets that are. */
  async loss(batch: TrainingBatch): Promise<{ readonly loss: number; readonly targets: number }> {
    this.#check(batch);
    const outputs = await this.#weights.read(() => this.#run("loss", inputsOf(batch), batch.tokens.length));
    return { loss: outputs.loss![0]!, targets: outputs.tokens![0]! };
  }

  /**
   * The loss of a batch and its whole gradients, flat in the order of the parameter's axes.
   * @param names Default: all that are trained.
   * @throws WeftError for a name that is not trained
   */
  async gradients(
    batch: TrainingBatch,
    names: readonly string[] = this.trained,
  ): Promise<{ readonly loss: number; readonly gradients: ReadonlyMap<string, Float32Array> }> {
    const problems = names.flatMap((name) => this.#unknown(name));
    const [first, ...rest] = problems;
    if (first !== undefined) throw new WeftError([first, ...rest]);
    this.#check(batch);
    const arrays = new Map(names.map((name) => [name, new Float32Array(this.#sizeOf(name))]));
    const loss = new Float32Array(1);
    const wanted = Object.fromEntries([...arrays].map(([name, array]) => [gradientOutput(name), array]));
    const outputs = { loss, ...wanted };
    await this.#weights.read(() => this.#run("gradients", inputsOf(batch), batch.tokens.length, outputs));
    return { loss: loss[0]!, gradients: arrays };
  }

  /** A trained parameter as it is stored now. @throws WeftError for a name that is not trained */
  async parameter(name: string): Promise<StateArray> {
    const [problem] = this.#unknown(name);
    if (problem !== undefined) throw new WeftError([problem]);
    return this.executable.readState(name);
  }

  memory(): MemoryTable {
    return this.executable.memory();
  }

  [Symbol.dispose](): void {
    this.executable[Symbol.dispose]();
  }

  async #update(
    program: TrainingProgram,
    inputs: Readonly<Record<string, Int32Array | Float32Array>>,
    length: number,
  ): Promise<StepResult> {
    const outputs = await this.#weights.change(() => this.#run(program, inputs, length));
    const value = (name: string) => outputs[name]![0]!;
    const skippedSoFar = value(optimizerOutputs.skipped);
    const skipped = skippedSoFar !== this.#skipped;
    this.#skipped = skippedSoFar;
    if (!skipped) this.#updates++;
    return {
      loss: value("loss"),
      gradientNorm: value(optimizerOutputs.gradientNorm),
      targets: value("tokens"),
      skipped,
    };
  }

  async #run(
    program: TrainingProgram,
    inputs: Readonly<Record<string, Int32Array | Float32Array>>,
    length: number,
    outputs?: Readonly<Record<string, Float32Array>>,
  ) {
    if (!this.#has(program)) {
      const programs = this.executable.plan.programs.map(({ name }) => name);
      throw new WeftError([
        userProblem("training", `the plan must have the program "${program}"`, {
          given: programs.join(", "),
          remedy: "name it among the programs when the model is opened",
        }),
      ]);
    }
    const { plan } = this.executable;
    const symbols: Record<string, number> = {};
    for (const one of plan.symbols)
      if (one.sum.length === 0) symbols[one.name] = one.name === trainingLength ? length : 0;
    const run = await this.executable.run(program, {
      symbols,
      inputs,
      ...(outputs === undefined ? {} : { outputs }),
    });
    return run.outputs;
  }

  #has(program: TrainingProgram): boolean {
    return this.executable.plan.programs.some(({ name }) => name === program);
  }

  #sizeOf(name: string): number {
    const state = this.executable.plan.buffers.find((one) => one.class === "state" && one.name === name);
    return state?.shape.reduce((product, size) => product * size, 1) ?? 0;
  }

  #unknown(name: string): readonly Problem[] {
    if (this.trained.includes(name)) return [];
    const near = nearestName(name, this.trained);
    return [
      userProblem("training", "the parameter must be one that is trained", {
        given: JSON.stringify(name),
        ...(near === undefined ? {} : { remedy: `did you mean "${near}"?` }),
      }),
    ];
  }

  #check(batch: TrainingBatch): void {
    orRaise(checkTokenIds(Array.from(batch.tokens), this.config.vocabSize, "tokens"));
    const length = batch.tokens.length;
    const most = this.executable.plan.symbols.find(({ name }) => name === trainingLength)?.max ?? 0;
    const problems: Problem[] = [];
    const refuse = (requirement: string, given: string) =>
      problems.push(userProblem("training", requirement, { given }));
    if (length > most) refuse(`a batch must have at most ${most} tokens`, String(length));
    for (const name of ["targets", "positions", "starts"] as const) {
      if (batch[name].length !== length)
        refuse(`${name} must have one element for each of the ${length} tokens`, String(batch[name].length));
    }
    if (batch.targets.some((target) => target >= this.config.vocabSize))
      refuse(`targets must be below ${this.config.vocabSize}`, String(Math.max(...batch.targets)));
    const [first, ...rest] = problems;
    if (first !== undefined) throw new WeftError([first, ...rest]);
  }
}

function inputsOf(
  batch: TrainingBatch,
  hyperparameters?: Float32Array,
): Record<string, Int32Array | Float32Array> {
  const { tokens, targets, positions, starts } = batch;
  const inputs = { tokens, targets, positions, starts };
  return hyperparameters === undefined ? inputs : { ...inputs, [hyperparametersInput]: hyperparameters };
}
