/** What a generation can be asked for, its defaults from the checkpoint, and the check that it makes sense. */
import { type Problem, showGiven, userProblem, WeftError } from "../config/problems.ts";
import { resolveSamplerOptions, type SamplerOptions, samplerOptionsOf } from "../sampling/options.ts";
import { Sampler } from "../sampling/sampler.ts";
import { StopStrings } from "../text/stop-strings.ts";
import type { Clip } from "./advance.ts";
import { orRaise } from "./checkpoint-text.ts";
import type { ContextCache } from "./context.ts";
import type { LanguageModel } from "./language-model.ts";

/**
 * Sampling options that are left out come from generation_config.json. One that asks for no sampling (or is absent)
 * means greedy: give a temperature above 0 to sample.
 */
export interface GenerateOptions extends SamplerOptions {
  /** Default: `max_new_tokens` of generation_config.json, else as many as the context has room for. */
  readonly maxTokens?: number | undefined;
  /** Texts that end the generation; they are not part of the text. */
  readonly stop?: readonly string[] | undefined;
  /** Ids that end the generation. Default: those of the checkpoint. */
  readonly stopTokenIds?: readonly number[] | undefined;
  /** Go on past stop tokens. Default false. */
  readonly ignoreEos?: boolean | undefined;
  /** Ends the generation: not with an error, but with the finish reason `abort` and what there is. */
  readonly signal?: AbortSignal | undefined;
  /** Give the natural logarithm of each token's probability, before any sampling option. Default false. */
  readonly logprobs?: boolean | undefined;
  /** False: tokens only, and the tokenizer is not opened. Default true. */
  readonly text?: boolean | undefined;
  /**
   * The context to work on: what of the prompt is cached in it is not run again, and it holds prompt and text
   * afterwards. Default: one of its own that is let go at the end.
   */
  readonly context?: ContextCache | undefined;
  /** What to do where the context is full: end (`error`, the default; a prompt that does not fit is refused) or go on. */
  readonly clip?: Clip | undefined;
  /** Positions of the context that must stay free behind the text. Default 0. */
  readonly reserve?: number | undefined;
  /** Told after each prefill step how many of the prompt's new tokens are done. */
  readonly onPrefill?: ((done: number, total: number) => void) | undefined;
}

/** Checked options, ready to work with. */
export interface GenerationSetup {
  readonly sampler: Sampler;
  /** Undefined: as many as fit. */
  readonly maxTokens: number | undefined;
  readonly stops: StopStrings;
  readonly stopTokenIds: ReadonlySet<number>;
  readonly ignoreEos: boolean;
  readonly signal: AbortSignal | undefined;
  readonly logprobs: boolean;
  readonly text: boolean;
  readonly clip: Clip;
  readonly reserve: number;
}

/** @throws WeftError that lists every option that makes no sense. */
export function setUpGeneration(model: LanguageModel, options: GenerateOptions): GenerationSetup {
  const problems: Problem[] = [];
  const sampling = samplingOf(model, options);
  const sampler = resolveSamplerOptions(sampling);
  if (sampler._tag === "Left") problems.push(...sampler.left);
  const stops = StopStrings.create(options.stop ?? []);
  if (stops._tag === "Left") problems.push(...stops.left);
  const maxTokens = options.maxTokens ?? model.generationConfig.maxNewTokens;
  if (maxTokens !== undefined && !(Number.isSafeInteger(maxTokens) && maxTokens >= 1)) {
    problems.push(
      userProblem("generate", "the number of new tokens must be an integer of at least 1", {
        given: showGiven(maxTokens),
        remedy: "leave it out to generate until the text ends",
      }),
    );
  }
  if (options.text === false && (options.stop ?? []).length > 0) {
    problems.push(
      userProblem("generate", "stop strings need text", {
        given: "text: false",
        remedy: "leave out one of the two",
      }),
    );
  }
  const { clip = "error", reserve = 0 } = options;
  if (clip !== "error" && clip !== "drop-oldest") {
    problems.push(
      userProblem("generate", 'clip must be "error" or "drop-oldest"', { given: showGiven(clip) }),
    );
  }
  if (!(Number.isSafeInteger(reserve) && reserve >= 0)) {
    problems.push(
      userProblem("generate", "the reserve must be an integer of at least 0", { given: showGiven(reserve) }),
    );
  }
  const [first, ...rest] = problems;
  if (first !== undefined) throw new WeftError([first, ...rest]);
  return {
    sampler: orRaise(Sampler.create(sampling)),
    maxTokens,
    stops: orRaise(stops),
    stopTokenIds: new Set(options.stopTokenIds ?? model.stopTokenIds),
    ignoreEos: options.ignoreEos ?? false,
    signal: options.signal,
    logprobs: options.logprobs ?? false,
    text: options.text ?? true,
    clip,
    reserve,
  };
}

/** An option that was given, even where the checkpoint says otherwise; then the checkpoint's. */
function samplingOf(model: LanguageModel, options: GenerateOptions): SamplerOptions {
  const own = samplerOptionsOf(model.generationConfig);
  const { temperature, topK, topP, minP, repetitionPenalty, seed } = options;
  return {
    temperature: temperature ?? own.temperature,
    topK: topK ?? own.topK,
    topP: topP ?? own.topP,
    minP: minP ?? own.minP,
    repetitionPenalty: repetitionPenalty ?? own.repetitionPenalty,
    seed,
  };
}
