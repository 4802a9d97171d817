/** An opened model: what a program holds while it generates. */
import type { Compiled, Plan, PrecisionPolicy } from "@weft/compiler";
import type { Device, Executable, MemoryTable } from "@weft/runtime";
import * as Either from "fp-ts/lib/Either.js";
import type { Adapter } from "../adapter/adapter.ts";
import type { GenerationConfig, Qwen3Config } from "../config/index.ts";
import { type Problems, unlessProblems } from "../config/problems.ts";
import type { ChatTemplate } from "../text/chat-template.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { TensorEntry } from "../weights/header.ts";
import { checkFinite } from "../weights/non-finite.ts";
import { checkScales } from "../weights/nvfp4/index.ts";
import type { CheckpointText } from "./checkpoint-text.ts";
import { ContextCache } from "./context.ts";
import { Engine } from "./engine.ts";
import type { LanguageModel } from "./language-model.ts";
import type { ResolvedOpenOptions } from "./options.ts";
import { type PreparedQwen3, weightsToPredict } from "./prepare.ts";
import type { StateTensor } from "./state-layout.ts";
import { stopTokensOf } from "./stop-tokens.ts";

export interface LoadedParts {
  readonly device: Device;
  readonly executable: Executable;
  readonly text: CheckpointText;
  /** The model disposes the device with itself. */
  readonly ownsDevice: boolean;
}

/**
 * A Qwen3 checkpoint on a device.
 *
 * All contexts of a model share its one executable: weights and activations are there once, and the cache holds one
 * context at a time. Work that takes turns on several contexts (two sessions) is right, and pays a copy of the
 * cache's used rows at each change.
 */
export class Qwen3 implements LanguageModel, Disposable {
  readonly directory: string;
  readonly config: Qwen3Config;
  readonly generationConfig: GenerationConfig;
  /** The options with their defaults, as they took effect. */
  readonly options: ResolvedOpenOptions;
  /** The plan with the record of its compilation. */
  readonly compiled: Compiled;
  /** Ids that end a text: what config.json, generation_config.json and tokenizer_config.json name. */
  readonly stopTokenIds: readonly number[];
  readonly #prepared: PreparedQwen3;
  readonly #device: Device;
  readonly #executable: Executable;
  readonly #engine: Engine;
  readonly #ownsDevice: boolean;
  readonly #text: CheckpointText;

  /** Made by `openQwen3` and `loadQwen3`. */
  constructor(prepared: PreparedQwen3, { device, executable, text, ownsDevice }: LoadedParts) {
    this.directory = prepared.directory;
    this.config = prepared.config;
    this.generationConfig = prepared.generationConfig;
    this.options = prepared.options;
    this.compiled = prepared.compiled;
    this.stopTokenIds = stopTokensOf(prepared);
    this.#prepared = prepared;
    this.#text = text;
    this.#device = device;
    this.#executable = executable;
    this.#ownsDevice = ownsDevice;
    this.#engine = new Engine(executable, prepared.compiled.plan, prepared.options);
  }

  /** The most tokens of a context. */
  get capacity(): number {
    return this.options.capacity;
  }

  get dtype(): PrecisionPolicy {
    return this.options.dtype;
  }

  /** The cache as states of the plan. */
  get cache(): readonly StateTensor[] {
    return this.#engine.states;
  }

  /** Where each weight is stored, by name. */
  get weights(): ReadonlyMap<string, TensorEntry> {
    return this.#prepared.bound.tensors;
  }

  /** Quantised linears by parameter, in words: how each is multiplied, as its file or the options have it. */
  get encodings(): ReadonlyMap<string, string> {
    return this.#prepared.formats.encodings;
  }

  /** What it was opened with beside the checkpoint. */
  get adapter(): Adapter | undefined {
    return this.#prepared.adapter?.adapter;
  }

  get plan(): Plan {
    return this.compiled.plan;
  }

  get device(): Device {
    return this.#device;
  }

  /** For profiles and reports; steps are run by contexts. */
  get executable(): Executable {
    return this.#executable;
  }

  /**
   * The checkpoint's tokenizer, opened at the first call: that takes nearly half a second for the released models,
   * and a program that works on token ids never needs it.
   * @throws WeftError when it is absent, broken, or of another model.
   */
  tokenizer(): Tokenizer {
    return this.#text.tokenizer();
  }

  /**
   * The checkpoint's chat template; see `chatTemplateOf` for `choice`.
   * @throws WeftError when there is none, or it is no valid Jinja.
   */
  chatTemplate(choice?: string): ChatTemplate {
    return this.#text.chatTemplate(choice);
  }

  /** An empty context. Dispose it to free its rows early; the model need not know. */
  createContext(): ContextCache {
    return new ContextCache(this.#engine, this.config.vocabSize);
  }

  /** The outputs of the plan that are not logits: the paths that it was opened to observe. */
  get observed(): readonly { readonly name: string; readonly width: number }[] {
    return this.#engine.outputs.filter(({ name }) => name !== "logits");
  }

  /** Bytes by purpose: as planned before loading, and as they are now. */
  memory(): { readonly predicted: MemoryTable; readonly measured: MemoryTable } {
    return {
      predicted: this.#device.predictMemory(this.plan, { weights: weightsToPredict(this.#prepared) }),
      measured: this.#executable.memory(),
    };
  }

  /** Scans all weights. Left: one problem for each parameter with a NaN or infinity, or a block scale that is none. */
  async checkWeights(): Promise<Either.Either<Problems, void>> {
    const plain = await checkFinite(this.weights.values());
    const scales = await checkScales(this.#prepared.bound.linears.values());
    const problems = [plain, scales].flatMap((one) => (Either.isLeft(one) ? [...one.left] : []));
    return unlessProblems(problems, () => undefined);
  }

  /** Frees the device's memory; contexts cannot be used afterwards. */
  [Symbol.dispose](): void {
    this.#engine.dispose();
    if (this.#ownsDevice) this.#device[Symbol.dispose]();
  }
}
