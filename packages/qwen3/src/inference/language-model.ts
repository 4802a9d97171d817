/** What generating and chatting need of a model. A loaded checkpoint is one, and so is a model under training. */
import type { PrecisionPolicy } from "@weft/compiler";
import type * as Either from "fp-ts/lib/Either.js";
import type { Adapter } from "../adapter/adapter.ts";
import type { GenerationConfig, Qwen3Config } from "../config/index.ts";
import type { Problems } from "../config/problems.ts";
import type { ChatTemplate } from "../text/chat-template.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { TensorEntry } from "../weights/header.ts";
import type { ContextCache } from "./context.ts";
import type { StateTensor } from "./state-layout.ts";

export interface LanguageModel {
  readonly config: Qwen3Config;
  readonly generationConfig: GenerationConfig;
  /** Ids that end a text. */
  readonly stopTokenIds: readonly number[];
  /** The most tokens of a context. */
  readonly capacity: number;
  readonly dtype: PrecisionPolicy;
  /** Products beside the weights, if there are any. */
  readonly adapter: Adapter | undefined;
  /** The cache as states of the plan. */
  readonly cache: readonly StateTensor[];
  /** Where each weight is stored, by name; undefined where weights change. */
  readonly weights: ReadonlyMap<string, TensorEntry> | undefined;
  /** Quantised linears by parameter, in words: how each is multiplied, as its file or the options have it. */
  readonly encodings: ReadonlyMap<string, string>;
  /** @throws WeftError when it is absent, broken, or of another model. */
  tokenizer(): Tokenizer;
  /** @throws WeftError when there is none, or it is no valid Jinja. */
  chatTemplate(choice?: string): ChatTemplate;
  /** An empty context. */
  createContext(): ContextCache;
  /** Scans all weights. Left: one problem for each parameter with a NaN or infinity. */
  checkWeights(): Promise<Either.Either<Problems, void>>;
}
