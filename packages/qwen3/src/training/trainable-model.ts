/** A model under training as the training loop sees it: tensors under their Hugging Face names and shapes, as bytes. */
import { encodeScaleName, optimizerStates } from "@weft/compiler";
import type { StateArray, Weight } from "@weft/runtime";
import { adapterConfigText } from "../adapter/config-file.ts";
import { plainAdapterName, storedAdapterTensors } from "../adapter/files.ts";
import { type MergeOptions, mergedModel } from "../adapter/merge.ts";
import type { Qwen3Config } from "../config/index.ts";
import { userProblem, WeftError } from "../config/problems.ts";
import { requiredTensors } from "../inference/prepare.ts";
import type { TrainingBatch } from "./batch.ts";
import { isLayerLinear } from "./blocks.ts";
import type { ExportedModel } from "./checkpoint/export.ts";
import { fileDtypes } from "./file-dtypes.ts";
import { hashWeights } from "./frozen-weights.ts";
import { type ModelInBlocks, modelInBlocks, type QuantizedFormat } from "./quantized-model.ts";
import { readWeight } from "./read-weight.ts";
import { dequantised, isInBlocks, storedBlocks } from "./stored-blocks.ts";
import type { JsonValue, MemoryTable, StateTensor, StepHyper, StepResult, Trainable } from "./trainable.ts";
import { elements, trainingMemory } from "./training-memory.ts";
import type { TrainingModel } from "./training-model.ts";
import { constantsOf, type RuleConstants } from "./update-rule.ts";

export class TrainableModel implements Trainable {
  readonly model: JsonValue;
  readonly optimizer: JsonValue;
  readonly adapterConfig?: string;
  readonly quantization?: NonNullable<Trainable["quantization"]>;
  readonly #training: TrainingModel;
  readonly #constants: RuleConstants;
  readonly #trained: ReadonlySet<string>;
  readonly #weights: (name: string) => Weight | undefined;
  /** What is saved: the model's parameters, of which those that are not trained may be in NVFP4, or those of its adapters. */
  readonly #saved: ExportedModel;
  /** Names of what is trained or saved, with the shapes that files have. */
  readonly #parameters: readonly StateTensor[];
  /** A checkpoint was put back: how many updates were skipped before is in the states only. */
  #restored = false;

  /**
   * @param weights where the parameters come from that are not trained: they are exported and saved with the others
   * @param constants the rule's, the same in every step
   * @param base of adapters: the directory of the model that they belong to, for adapter_config.json
   * @throws WeftError for a constant that is another rule's
   */
  constructor(
    training: TrainingModel,
    weights: (name: string) => Weight | undefined,
    constants: RuleConstants = {},
    base = "",
  ) {
    this.#training = training;
    this.#weights = weights;
    this.#constants = constants;
    this.#trained = new Set(training.trained);
    const { config, adapter } = training;
    this.#parameters =
      adapter === undefined
        ? requiredTensors(config).map(({ name, shape }) => ({ name, shape, dtype: this.#dtypeOf(name) }))
        : storedAdapterTensors(adapter).map((one) => ({ ...one, dtype: "F32" }));
    this.#saved =
      adapter === undefined && this.#parameters.some(({ name }) => this.#isFrozenInBlocks(name))
        ? this.#inBlocks("compressed-tensors", this.#frozenBlocks)
        : this.#plain;
    if (this.#saved.quantization !== undefined) this.quantization = this.#saved.quantization;
    if (adapter !== undefined) this.adapterConfig = adapterConfigText(config, adapter, base);
    this.model = architectureOf(config);
    const all = adapter === undefined && this.#trained.size === this.#parameters.length;
    this.optimizer = {
      ...constantsOf(training.rule, constants),
      // Said where it is not the default: runs of f32 weights stay what they were.
      ...(training.trainedDtype === "f32" ? {} : { weights: training.trainedDtype }),
      ...(training.policy === "f32" ? {} : { products: training.policy }),
      ...quantizationOf(training),
      ...(training.moments === "f32" ? {} : { moments: training.moments }),
      trained: all ? "all" : training.trained,
      ...(adapter === undefined ? {} : { lora: { rank: adapter.rank, alpha: adapter.alpha } }),
    };
  }

  parameters(): readonly StateTensor[] {
    return this.#saved.parameters();
  }

  /**
   * Sums of gradients are not among them: they are zero between two updates. Nor are blocks: of each the scale is, by which
   * the weight's values give them again.
   */
  optimizerStates(): readonly StateTensor[] {
    const { plan } = this.#training.executable;
    const states = new Map(
      plan.buffers.flatMap((one) => (one.class === "state" ? [[one.name, one] as const] : [])),
    );
    const moments = this.#parameters.flatMap(({ name, shape }): StateTensor[] =>
      momentsOf.flatMap((stateOf): StateTensor[] => {
        const state = states.get(stateOf(this.#stateOf(name)));
        if (state === undefined) return [];
        // Codes and scales of all blocks, one behind the other.
        if (state.dtype === "nvfp4")
          return [{ name: state.name, dtype: "U8", shape: [(elements(state) * 9) / 16] }];
        const isWhole = elements(state) === shape.reduce((product, size) => product * size, 1);
        const dtype = state.dtype === "i8" ? fileDtypes.i8 : fileDtypes.f32;
        return [{ name: state.name, dtype, shape: isWhole ? shape : state.shape }];
      }),
    );
    const single = [
      ...this.#training.quantized.map(encodeScaleName),
      ...[optimizerStates.skipped].filter((name) => states.has(name)),
    ];
    return [...moments, ...single.map((name) => ({ name, dtype: "F32", shape: [] }) as const)];
  }

  async step(
    batches: readonly TrainingBatch[],
    { learningRate, step, seed }: StepHyper,
  ): Promise<StepResult> {
    if (this.#restored) {
      const [skipped] = await this.#training.executable.readState(optimizerStates.skipped);
      await this.#training.resume(step - 1 - skipped!);
      this.#restored = false;
    }
    return this.#training.step(batches, { ...this.#constants, learningRate, seed });
  }

  loss(batch: TrainingBatch): Promise<{ readonly loss: number; readonly targets: number }> {
    return this.#training.loss(batch);
  }

  readState(name: string): Promise<Uint8Array> {
    return this.#saved.readState(name);
  }

  /** @throws WeftError for a parameter that is not trained and has other values than it was saved with */
  async writeState(name: string, bytes: Uint8Array): Promise<void> {
    // A view at any offset: typed arrays need an aligned one.
    const { buffer } = bytes.slice();
    if (!this.#isFrozen(name)) {
      this.#restored = true;
      const state = this.#stateOf(name);
      await this.#training.writeState(state, new (this.#arrayOf(state))(buffer));
      return;
    }
    if (Buffer.compare(Buffer.from(buffer), await this.readState(name)) === 0) return;
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
   * The whole model as an ordinary checkpoint has it, for `exportHuggingFace`: adapters merged into their weights, and what
   * is not trained and in NVFP4 dequantised.
   */
  merged(): ExportedModel {
    return this.#training.adapter === undefined ? this.#plain : mergedModel(this.#merging());
  }

  /**
   * The model with its linears in NVFP4, for `exportHuggingFace`: from the very blocks that training reads. Weights with
   * adapters are encoded anew, with the products added.
   * @throws WeftError for a model that reads nothing in NVFP4
   */
  quantized(format: QuantizedFormat, options: { readonly fourOverSix?: boolean } = {}): ExportedModel {
    const { adapter, quantized } = this.#training;
    if (adapter !== undefined) return mergedModel({ ...this.#merging(), ...options, format });
    if (quantized.length === 0 && this.#saved.quantization === undefined) {
      throw new WeftError([
        userProblem("export", "the model must read weights in nvfp4 to be exported so", {
          given: "none",
          remedy: "train with `quantize`, or quantise the export",
        }),
      ]);
    }
    return this.#inBlocks(format, (name) =>
      quantized.includes(name) ? () => this.#training.blocks(name) : this.#frozenBlocks(name),
    );
  }

  memory(): MemoryTable {
    const { executable } = this.#training;
    return trainingMemory(executable.plan, executable.memory());
  }

  #merging(): MergeOptions {
    const { config, adapter } = this.#training;
    const values = async (name: string) => (await this.#training.parameter(name)) as Float32Array;
    return { config, weights: this.#weights, adapter: adapter!, values };
  }

  /** Every parameter under its own name, with its values. */
  get #plain(): ExportedModel {
    return {
      parameters: () => this.#parameters,
      readState: async (name) => {
        const values = this.#isFrozen(name)
          ? this.#frozen(name)
          : await this.#training.executable.readState(this.#stateOf(name));
        return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
      },
    };
  }

  #inBlocks(format: QuantizedFormat, blocksOf: ModelInBlocks["blocksOf"]): ExportedModel {
    return modelInBlocks({ config: this.#training.config, plain: this.#plain, blocksOf, format });
  }

  #isFrozenInBlocks(name: string): boolean {
    return !this.#trained.has(name) && isInBlocks(this.#weights(name));
  }

  readonly #frozenBlocks = (name: string) =>
    this.#isFrozenInBlocks(name) ? () => storedBlocks(this.#weights, name) : undefined;

  /** Of a parameter as an ordinary checkpoint has it. */
  #dtypeOf(name: string): StateTensor["dtype"] {
    if (this.#trained.has(name)) return fileDtypes[this.#training.trainedDtype];
    const weight = this.#weights(name);
    return isInBlocks(weight) ? "F32" : fileDtypes[weight?.dtype ?? "f32"];
  }

  /** Adapters have a longer name in files than in the plan. */
  #stateOf(name: string): string {
    return this.#training.adapter === undefined ? name : plainAdapterName(name);
  }

  #arrayOf(state: string): typeof Uint16Array | typeof Uint8Array | typeof Int8Array | typeof Float32Array {
    const { buffers } = this.#training.executable.plan;
    switch (buffers.find((one) => one.class === "state" && one.name === state)?.dtype) {
      case "nvfp4":
        return Uint8Array;
      case "i8":
        return Int8Array;
      case "bf16":
        return Uint16Array;
      default:
        return Float32Array;
    }
  }

  #isFrozen(name: string): boolean {
    return !this.#trained.has(this.#stateOf(name)) && !this.#isOptimizerState(name);
  }

  #isOptimizerState(name: string): boolean {
    return (
      name.startsWith("optimizer.") || this.#training.quantized.some((one) => encodeScaleName(one) === name)
    );
  }

  #frozen(name: string): StateArray {
    const weight = this.#weights(name);
    if (isInBlocks(weight)) return dequantised(this.#weights, name);
    if (weight !== undefined) return readWeight(weight);
    throw new WeftError([userProblem("training", "must be a parameter of the model", { given: name })]);
  }
}

/** States of a rule for each parameter. */
const momentsOf = [
  optimizerStates.firstMoment,
  optimizerStates.secondMoment,
  optimizerStates.momentum,
  optimizerStates.firstScale,
  optimizerStates.secondRoot,
  optimizerStates.secondScale,
];

/** What is read in NVFP4, where anything is. */
function quantizationOf({ quantized, trained, fourOverSix }: TrainingModel): Record<string, JsonValue> {
  if (quantized.length === 0) return {};
  const isDefault = trained.every((name) => isLayerLinear(name) === quantized.includes(name));
  return { nvfp4: { weights: isDefault ? "linears of the layers" : quantized, fourOverSix } };
}

/** Everything that decides what the tensors mean; not where the file lies, nor what text ends with. */
function architectureOf(config: Qwen3Config): JsonValue {
  const { file: _, dtype: __, eosTokenIds: ___, ...architecture } = config;
  return { kind: "qwen3", ...architecture };
}
