/** Generation: a stream of tokens with the text that they complete, and a summary at the end. */
import { candidatesOutput } from "@weft/compiler";
import { TextStream } from "../text/text-stream.ts";
import { checkTokenIds } from "../text/token-ids.ts";
import { advanceTo, clipBlock } from "./advance.ts";
import { orRaise } from "./checkpoint-text.ts";
import type { ContextCache } from "./context.ts";
import { type GenerateOptions, type GenerationSetup, setUpGeneration } from "./generate-options.ts";
import type { LanguageModel } from "./language-model.ts";
import { logProbabilityOf } from "./log-probability.ts";
import { explainNonFinite } from "./non-finite.ts";
import { type GenerationTiming, Stopwatch } from "./timing.ts";

/**
 * Why a text ended: a stop token, a stop string, `maxTokens`, no more room in the context, or an abort (by the signal,
 * or because the reader went away).
 */
export type FinishReason = "stop-token" | "stop-string" | "length" | "capacity" | "abort";

export interface GeneratedToken {
  readonly token: number;
  /** The text that is certain now: whole characters, no part of a stop string. Often empty. */
  readonly text: string;
  /** Its absolute position, counted from the first token of the prompt. */
  readonly position: number;
  readonly logprob?: number;
  /** With the last token, unless the text is aborted. */
  readonly finish?: FinishReason;
}

export interface GenerationSummary {
  readonly finish: FinishReason;
  readonly promptTokens: readonly number[];
  /** Every token that was picked, a final stop token included. */
  readonly tokens: readonly number[];
  /** All pieces of text together; on an abort without what was still held back. */
  readonly text: string;
  /** The stop string that ended the text. */
  readonly stopString: string | undefined;
  /** Tokens of the prompt that were in the context's cache already, and that were run. */
  readonly reused: number;
  readonly prefilled: number;
  /** Oldest tokens that the context dropped to go on. */
  readonly dropped: number;
  readonly timing: GenerationTiming;
}

/**
 * Can be read once. Reading drives it: nothing is computed before the first token is asked for. A GPU is a few steps
 * ahead of the reader, the CPU is not.
 */
export class Generation implements AsyncIterable<GeneratedToken> {
  readonly #tokens: AsyncGenerator<GeneratedToken, void>;
  #summary: GenerationSummary | undefined;

  /** Made by `generate`. */
  constructor(run: (finish: (summary: GenerationSummary) => void) => AsyncGenerator<GeneratedToken, void>) {
    this.#tokens = run((summary) => {
      this.#summary = summary;
    });
  }

  /** Undefined until the text has ended. */
  get summary(): GenerationSummary | undefined {
    return this.#summary;
  }

  [Symbol.asyncIterator](): AsyncGenerator<GeneratedToken, void> {
    return this.#tokens;
  }

  /** Reads the rest, and gives the summary of the whole. */
  async finish(): Promise<GenerationSummary> {
    for await (const _ of this.#tokens);
    // A generation that has thrown has no summary, and its exception was met before this line.
    return this.#summary!;
  }
}

/**
 * Continues a prompt. The same prompt, options and seed give the same text on every run.
 * @param prompt token ids, or a text for the checkpoint's tokenizer (without a chat template: see `Session` for chats)
 * @throws WeftError while it is read: for options that make no sense, an empty prompt, foreign ids, a prompt longer than
 * the capacity, weights that are not finite (with their names).
 * @example
 * const generation = generate(model, "Once upon a time", { maxTokens: 64, temperature: 0.7, seed: 1 });
 * for await (const { text } of generation) process.stdout.write(text);
 * console.log(generation.summary?.timing.decodeTokensPerSecond);
 */
export function generate(
  model: LanguageModel,
  prompt: string | readonly number[],
  options: GenerateOptions = {},
): Generation {
  return new Generation((finish) => run(model, prompt, options, finish));
}

async function* run(
  model: LanguageModel,
  prompt: string | readonly number[],
  options: GenerateOptions,
  finish: (summary: GenerationSummary) => void,
): AsyncGenerator<GeneratedToken, void> {
  const stopwatch = new Stopwatch();
  const setup = setUpGeneration(model, options);
  const promptTokens = typeof prompt === "string" ? await model.tokenizer().encode(prompt) : [...prompt];
  orRaise(checkTokenIds(promptTokens, model.config.vocabSize, "prompt"));
  const context = options.context ?? model.createContext();
  const progress = new Progress(context, setup, stopwatch, promptTokens);
  let failed = false;
  try {
    yield* tokensOf(model, progress, options);
  } catch (error) {
    failed = true;
    throw error;
  } finally {
    // Also where the reader goes away: then the reason is still the first one, an abort.
    if (!failed) finish(progress.summary());
    if (options.context === undefined) context[Symbol.dispose]();
  }
}

/** What is known of a generation so far, and the summary of it at any moment. */
class Progress {
  readonly context: ContextCache;
  readonly setup: GenerationSetup;
  readonly stopwatch: Stopwatch;
  readonly promptTokens: readonly number[];
  readonly tokens: number[] = [];
  text = "";
  finish: FinishReason = "abort";
  stopString: string | undefined;
  reused = 0;
  prefilled = 0;
  dropped = 0;
  decoded = 0;

  constructor(
    context: ContextCache,
    setup: GenerationSetup,
    stopwatch: Stopwatch,
    promptTokens: readonly number[],
  ) {
    this.context = context;
    this.setup = setup;
    this.stopwatch = stopwatch;
    this.promptTokens = promptTokens;
  }

  summary(): GenerationSummary {
    return {
      finish: this.finish,
      promptTokens: this.promptTokens,
      tokens: this.tokens,
      text: this.text,
      stopString: this.stopString,
      reused: this.reused,
      prefilled: this.prefilled,
      dropped: this.dropped,
      timing: this.stopwatch.timing(this.prefilled, this.decoded),
    };
  }
}

async function* tokensOf(
  model: LanguageModel,
  progress: Progress,
  options: GenerateOptions,
): AsyncGenerator<GeneratedToken, void> {
  const { context, setup, stopwatch, promptTokens } = progress;
  const { sampler, signal } = setup;
  const stream = setup.text ? new TextStream(model.tokenizer()) : undefined;
  const seen = sampler.options.repetitionPenalty === 1 ? undefined : new Set(promptTokens);
  const budget = setup.maxTokens ?? (setup.clip === "error" ? Number.POSITIVE_INFINITY : context.capacity);

  // Where the device has picked out all that the sampler looks at, the logits stay there.
  const fromCandidates = !setup.logprobs && sampler.candidatesNeeded <= context.candidates;
  const output = fromCandidates ? candidatesOutput : "logits";
  let row = await prefill(progress, options, output);
  while (row !== undefined) {
    const current = row;
    const position = context.dropped + context.length;
    const picked = stopwatch.measureNow("decode", () =>
      fromCandidates ? sampler.sampleCandidates(current, position) : sampler.sample(current, position, seen),
    );
    if (picked._tag === "Left") throw await explainNonFinite(model, picked.left);
    const token = picked.right;
    stopwatch.token();
    progress.tokens.push(token);
    seen?.add(token);
    const full = setup.clip === "error" && isFull(progress);
    const ended = endOf(progress, token, budget, full);
    const text = stream === undefined ? "" : textOf(progress, stream, token, ended);
    const finish = progress.stopString === undefined ? ended : "stop-string";
    if (finish !== undefined) progress.finish = finish;
    progress.text += text;
    yield {
      token,
      text,
      position,
      ...(setup.logprobs ? { logprob: logProbabilityOf(current, token) } : {}),
      ...(finish === undefined ? {} : { finish }),
    };
    if (finish !== undefined || signal?.aborted) return;
    row = await stopwatch.measure("decode", () => decode(progress, token, output, budget));
  }
}

/** Runs the prompt. Undefined: aborted. */
async function prefill(
  progress: Progress,
  options: GenerateOptions,
  output: string,
): Promise<Float32Array | undefined> {
  const { context, setup, stopwatch, promptTokens } = progress;
  try {
    const advanced = await stopwatch.measure("prefill", () =>
      advanceTo(context, promptTokens, {
        clip: setup.clip,
        room: setup.reserve,
        output,
        signal: setup.signal,
        onProgress: options.onPrefill,
      }),
    );
    progress.reused = advanced.reused;
    progress.prefilled = advanced.prefilled;
    progress.dropped = advanced.dropped;
    return advanced.logits;
  } catch (error) {
    if (setup.signal?.aborted && error === setup.signal.reason) return undefined;
    throw error;
  }
}

/** Runs one token; makes room first where the context is full. */
async function decode(
  progress: Progress,
  token: number,
  output: string,
  budget: number,
): Promise<Float32Array> {
  const { context, setup } = progress;
  if (isFull(progress)) {
    const block = Math.min(clipBlock(context.capacity), context.length);
    await context.dropOldest(block);
    progress.dropped += block;
  }
  progress.decoded++;
  const room = context.capacity - setup.reserve - context.length;
  // This step gives one more token; each one behind it another.
  const most = Math.min(budget - progress.tokens.length, room) - 1;
  const ahead = { draw: (position: number) => setup.sampler.deviceDraw(position), most };
  return context.append([token], { output, ahead });
}

const isFull = ({ context, setup }: Progress) => context.length + setup.reserve >= context.capacity;

/** Whether a token is the last one, by itself or by a limit. */
function endOf(
  { tokens, setup }: Progress,
  token: number,
  budget: number,
  full: boolean,
): FinishReason | undefined {
  if (!setup.ignoreEos && setup.stopTokenIds.has(token)) return "stop-token";
  if (tokens.length >= budget) return "length";
  return full ? "capacity" : undefined;
}

/** The text that is certain with this token; all that is held back where it is the last one. */
function textOf(
  progress: Progress,
  stream: TextStream,
  token: number,
  ended: FinishReason | undefined,
): string {
  const { stops } = progress.setup;
  // A stop token is no text, even where the tokenizer does not call it special.
  const piece = ended === "stop-token" ? "" : stream.push(token);
  const pushed = stops.push(ended === undefined ? piece : piece + stream.flush());
  progress.stopString = pushed.stopped;
  return pushed.stopped === undefined && ended !== undefined ? pushed.text + stops.flush() : pushed.text;
}
