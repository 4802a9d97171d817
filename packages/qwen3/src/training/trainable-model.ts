/** A model under training as the training loop sees it: tensors under their Hugging Face names and shapes, as bytes. */
import { type Compiled, optimizerStates } from "@weft/compiler";
import type { MemoryTable as DeviceMemory, StateArray, Weight } from "@weft/runtime";
import { adapterConfigText } from "../adapter/config-file.ts";
import { plainAdapterName, storedAdapterTensors } from "../adapter/files.ts";
import { mergedModel } from "../adapter/merge.ts";
import type { Qwen3Config } from "../config/index.ts";
import { userProblem, WeftError } from "../config/problems.ts";
import { requiredTensors } from "../inference/prepare.ts";
import type { TrainingBatch } from "./batch.ts";
import { fileDtypes } from "./file-dtypes.ts";
import { hashWeights } from "./frozen-weights.ts";
import { readWeight } from "./read-weight.ts";
import type { JsonValue, MemoryTable, StateTensor, StepHyper, StepResult, Trainable } from "./trainable.ts";
import type { StepHyperparameters, TrainingModel } from "./training-model.ts";

/** AdamW's constants of a whole run; the learning rate comes with each step. */
export type AdamWConstants = Omit<StepHyperparameters, "learningRate">;

export class TrainableModel implements Trainable {
  readonly model: JsonValue;
  readonly optimizer: JsonValue;
  readonly adapterConfig?: string;
  readonly #training: TrainingModel;
  readonly #constants: AdamWConstants;
  readonly #trained: ReadonlySet<string>;
  readonly #weights: (name: string) => Weight | undefined;
  readonly #parameters: readonly StateTensor[];
  /** A checkpoint was put back: how many updates were skipped before is in the states only. */
  #restored = false;

  /**
   * @param weights where the parameters come from that are not trained: they are exported and saved with the others
   * @param constants AdamW's, the same in every step
   * @param base of adapters: the directory of the model that they belong to, for adapter_config.json
   */
  constructor(
    training: TrainingModel,
    weights: (name: string) => Weight | undefined,
    constants: AdamWConstants = {},
    base = "",
  ) {
    this.#training = training;
    this.#weights = weights;
    this.#constants = constants;
    this.#trained = new Set(training.trained);
    const { config, adapter } = training;
    this.#parameters =
      adapter === undefined
        ? requiredTensors(config).map(({ name, shape }) => ({
            name,
            shape,
            dtype: this.#trained.has(name) ? "F32" : fileDtypes[weights(name)?.dtype ?? "f32"],
          }))
        : storedAdapterTensors(adapter).map((one) => ({ ...one, dtype: "F32" }));
    if (adapter !== undefined) this.adapterConfig = adapterConfigText(config, adapter, base);
    this.model = architectureOf(config);
    const { betas = [0.9, 0.999], epsilon = 1e-8, weightDecay = 0.01, maxNorm = null } = constants;
    const all = adapter === undefined && this.#trained.size === this.#parameters.length;
    this.optimizer = {
      kind: "adamW",
      betas,
      epsilon,
      weightDecay,
      maxNorm: maxNorm === Number.POSITIVE_INFINITY ? null : maxNorm,
      trained: all ? "all" : training.trained,
      ...(adapter === undefined ? {} : { lora: { rank: adapter.rank, alpha: adapter.alpha } }),
    };
  }

  parameters(): readonly StateTensor[] {
    return this.#parameters;
  }

  /** Sums of gradients are not among them: they are zero between two updates. */
  optimizerStates(): readonly StateTensor[] {
    const { plan } = this.#training.executable;
    const isThere = (name: string) => plan.buffers.some((one) => one.class === "state" && one.name === name);
    const moments = this.#parameters.flatMap(({ name, shape }): StateTensor[] =>
      [optimizerStates.firstMoment(this.#stateOf(name)), optimizerStates.secondMoment(this.#stateOf(name))]
        .filter(isThere)
        .map((state) => ({ name: state, dtype: "F32", shape })),
    );
    return isThere(optimizerStates.skipped)
      ? [...moments, { name: optimizerStates.skipped, dtype: "F32", shape: [] }]
      : moments;
  }

  async step(batches: readonly TrainingBatch[], { learningRate, step }: StepHyper): Promise<StepResult> {
    if (this.#restored) {
      const [skipped] = await this.#training.executable.readState(optimizerStates.skipped);
      await this.#training.resume(step - 1 - skipped!);
      this.#restored = false;
    }
    return this.#training.step(batches, { ...this.#constants, learningRate });
  }

  loss(batch: TrainingBatch): Promise<{ readonly loss: number; readonly targets: number }> {
    return this.#training.loss(batch);
  }

  async readState(name: string): Promise<Uint8Array> {
    const values = this.#isFrozen(name)
      ? this.#frozen(name)
      : await this.#training.executable.readState(this.#stateOf(name));
    return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  }

  /** @throws WeftError for a parameter that is not trained and has other values than it was saved with */
  async writeState(name: string, bytes: Uint8Array): Promise<void> {
    // A view at any offset: typed arrays need an aligned one.
    const { buffer } = bytes.slice();
    if (!this.#isFrozen(name)) {
      this.#restored = true;
      await this.#training.executable.writeState(this.#stateOf(name), new Float32Array(buffer));
      return;
    }
    const { buffer: own, byteOffset, byteLength } = this.#frozen(name);
    if (Buffer.compare(Buffer.from(buffer), Buffer.from(own, byteOffset, byteLength)) === 0) return;
    throw new WeftError([
      userProblem("training", "a parameter that is not trained must be as it was saved", {
        given: "other values",
        path: name,
        remedy: "resume with the model that the run began with",
      }),
    ]);
  }

  /** A hash for each parameter that the run reads and does not train; undefined where all are trained. */
  async frozen(): Promise<JsonValue | undefined> {
    const names = requiredTensors(this.#training.config).map(({ name }) => name);
    const frozen = names.filter((name) => !this.#trained.has(name));
    return frozen.length === 0 ? undefined : hashWeights(frozen, this.#weights);
  }

  /**
   * The whole model as an ordinary checkpoint has it, adapters merged into their weights: for `exportHuggingFace`.
   */
  merged(): Pick<Trainable, "parameters" | "readState"> {
    const { config, adapter } = this.#training;
    if (adapter === undefined) return this;
    return mergedModel({
      config,
      weights: this.#weights,
      adapter,
      values: async (name) => (await this.#training.parameter(name)) as Float32Array,
    });
  }

  memory(): MemoryTable {
    const { executable } = this.#training;
    return trainingMemory(executable.plan, executable.memory());
  }

  /** Adapters have a longer name in files than in the plan. */
  #stateOf(name: string): string {
    return this.#training.adapter === undefined ? name : plainAdapterName(name);
  }

  #isFrozen(name: string): boolean {
    return !this.#trained.has(this.#stateOf(name)) && !name.startsWith("optimizer.");
  }

  #frozen(name: string): StateArray {
    const weight = this.#weights(name);
    if (weight !== undefined) return readWeight(weight);
    throw new WeftError([userProblem("training", "must be a parameter of the model", { given: name })]);
  }
}

/**
 * Bytes by purpose, predicted or measured. Gradients are those that are added up over several passes; within one pass
 * they live among the activations.
 */
export function trainingMemory(plan: Compiled["plan"], table: DeviceMemory): MemoryTable {
  const states = plan.buffers.filter((one) => one.class === "state");
  const bytesOf = (matches: (name: string) => boolean) =>
    states.filter(({ name }) => matches(name)).reduce((sum, { bytes }) => sum + bytes, 0);
  const gradient = optimizerStates.gradient("");
  const parameters = bytesOf((name) => !name.startsWith("optimizer."));
  const gradients = bytesOf((name) => name.startsWith(gradient));
  return {
    parameters: parameters + table.weightsMapped + table.weightsCopied,
    gradients,
    // What lies between the states to align them is counted here.
    optimizer: table.state - parameters - gradients,
    activations: table.activations,
    inputs: table.input + table.output,
    scratch: table.scratchShared + table.scratchPerThread * table.threads + table.control,
    total: table.total,
  };
}

/** Everything that decides what the tensors mean; not where the file lies, nor what text ends with. */
function architectureOf(config: Qwen3Config): JsonValue {
  const { file: _, dtype: __, eosTokenIds: ___, ...architecture } = config;
  return { kind: "qwen3", ...architecture };
}
