/**
 * What the trainer needs of a model that learns. The trainer knows nothing of graphs, plans and devices: it hands out
 * batches, asks for numbers, and moves named tensors to and from files.
 */
import type { WrittenConfig } from "../quantize/written-config.ts";
import type { TensorDtype } from "../weights/dtype.ts";
import type { TrainingBatch } from "./batch.ts";

/** What changes from step to step besides the data. */
export interface StepHyper {
  readonly learningRate: number;
  /** Number of the step, from 1: bias correction, and with `seed` the counter of every random number. */
  readonly step: number;
  readonly seed: number;
}

export interface StepResult {
  /** Mean cross entropy in nats over all targets of the step that are not -1; 0 where there are none. */
  readonly loss: number;
  /** Euclidean norm of all gradients together, before clipping. */
  readonly gradientNorm: number;
  /** Targets that were not -1. */
  readonly targets: number;
  /**
   * True where the loss or a gradient was not finite: then no parameter and no state has changed, but that moments in NVFP4
   * were encoded once more.
   */
  readonly skipped: boolean;
  /** The first tensor found that is not finite, where the model knows: a parameter's name for its gradient. */
  readonly nonFinite?: string;
}

/** A tensor that lives in the model between steps. */
export interface StateTensor {
  /** A parameter's full Hugging Face name, or the name of an optimizer's state: `optimizer.firstMoment.PARAMETER`. */
  readonly name: string;
  readonly dtype: TensorDtype;
  readonly shape: readonly number[];
}

/** Bytes by phase or purpose: parameters, gradients, optimizer, activations, scratch, peak. */
export type MemoryTable = Readonly<Record<string, number>>;

/** A model that learns. Methods are not called while an earlier call is still running. */
export interface Trainable {
  /** The architecture as plain JSON; a checkpoint of another one is refused, with each key that differs. */
  readonly model: JsonValue;
  /** The optimizer and its constants as plain JSON, compared in the same way. */
  readonly optimizer: JsonValue;
  /**
   * The text of adapter_config.json where the parameters are those of an adapter: then they are saved as PEFT has them.
   */
  readonly adapterConfig?: string;
  /** Where some of the parameters are in NVFP4. */
  readonly quantization?: {
    readonly config: WrittenConfig;
    /** Tensors that make up quantised linears: they are stored as they are. */
    readonly parts: ReadonlySet<string>;
  };
  /** Every tensor that is trained or exported. */
  parameters(): readonly StateTensor[];
  /** Everything else that the next step depends on: moments, master weights. */
  optimizerStates(): readonly StateTensor[];
  /**
   * One update from the mean gradient over all batches (more than one: gradient accumulation, each target with the
   * same weight whatever batch it is in).
   */
  step(batches: readonly TrainingBatch[], hyper: StepHyper): Promise<StepResult>;
  /** The loss as `step` gives it, with nothing changed. */
  loss(batch: TrainingBatch): Promise<{ readonly loss: number; readonly targets: number }>;
  /** The tensor's little-endian bytes, row-major. The caller is done with them before its next call. */
  readState(name: string): Promise<Uint8Array>;
  /** Puts back what `readState` gave. */
  writeState(name: string, bytes: Uint8Array): Promise<void>;
  /** What the weights hold that are not trained, by name, where there are any: a run goes on with the same ones only. */
  frozen?(): Promise<JsonValue | undefined>;
  memory(): MemoryTable;
}

export type JsonValue =
  | string
  | number
  | boolean
  | null
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue };
