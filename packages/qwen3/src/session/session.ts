/**
 * A conversation with a persistent cache. Each turn runs only what the cache does not hold yet:
 *
 * 1. The whole conversation is rendered by the checkpoint's own template.
 * 2. As far as the rendering is the cached text, the cached tokens stay; the rest is tokenised. Where a template prints
 *    earlier turns otherwise than they were (without their thoughts), the cache is cut back to what is still true.
 * 3. The answer is generated; however it ends, the turn is closed in the cache as the template closes it.
 *
 * At any time the cache holds one position for each token of `tokens`.
 */
import { internalProblem, userProblem, WeftError } from "../config/problems.ts";
import { holdExactly } from "../inference/advance.ts";
import { orRaise } from "../inference/checkpoint-text.ts";
import type { ContextCache } from "../inference/context.ts";
import { type GeneratedToken, type GenerationSummary, generate } from "../inference/generate.ts";
import type { LanguageModel } from "../inference/language-model.ts";
import type { ChatMessage, RenderOptions } from "../text/chat-template.ts";
import { type Anchor, CachedText } from "./cached-text.ts";
import { closingOf, cutAnswer } from "./closing.ts";
import type { SendOptions, SessionOptions } from "./options.ts";
import { loadSession, type SavedSession, saveSession } from "./session-file.ts";
import { Turn, type TurnReport, type TurnResult } from "./turn.ts";

/** Room for the rest of a token that a stop string cuts through. */
const tailRoom = 16;

interface PreparedTurn {
  readonly messages: readonly ChatMessage[];
  readonly rendering: string;
  readonly anchor: Anchor;
  readonly promptTokens: readonly number[];
  readonly closing: string;
  readonly closingTokens: readonly number[];
}

/**
 * Sessions of one model share its executable: each has its own context, and changing between sessions copies the used
 * rows of the cache (see `Qwen3`).
 *
 * @example
 * const session = new Session(model, { system: "Answer in one sentence." });
 * const turn = session.send("What is a tensor?");
 * for await (const { text } of turn) process.stdout.write(text);
 * console.log(turn.result?.report.contextAfter);
 */
export class Session implements Disposable {
  readonly model: LanguageModel;
  readonly options: SessionOptions;
  readonly #context: ContextCache;
  #messages: readonly ChatMessage[];
  #cached = CachedText.empty;
  #turns = 0;
  #busy = false;

  constructor(model: LanguageModel, options: SessionOptions = {}) {
    this.model = model;
    this.options = options;
    this.#context = model.createContext();
    this.#messages = [
      ...(options.system === undefined ? [] : [{ role: "system", content: options.system }]),
      ...(options.messages ?? []),
    ];
  }

  /**
   * The conversation, answers included. An answer's content is the text of all its tokens, special ones too.
   */
  get messages(): readonly ChatMessage[] {
    return this.#messages;
  }

  /** The context itself, to look at and to save: what changes it besides the session breaks the session. */
  get context(): ContextCache {
    return this.#context;
  }

  /** The tokens in the cache, oldest first. */
  get tokens(): readonly number[] {
    return this.#context.tokens;
  }

  /** Tokens that were dropped from the front, with `clip: "drop-oldest"`. */
  get dropped(): number {
    return this.#context.dropped;
  }

  /** Finished turns. */
  get turns(): number {
    return this.#turns;
  }

  /**
   * Adds messages to the conversation and streams the answer. Messages that begin with a system message begin a new
   * conversation; what of it is cached is not run again.
   *
   * A turn that fails, or is aborted before its first token, leaves the conversation as it was.
   * @throws WeftError while it is read: no message, a conversation that the template refuses or that does not fit, a turn
   * that is still being read, and as `generate` does.
   */
  send(message: string | ChatMessage | readonly ChatMessage[], options: SendOptions = {}): Turn {
    return new Turn((finish) => this.#run(message, options, finish));
  }

  /** Replaces the conversation; the next turn reuses what of it is cached. */
  replaceMessages(messages: readonly ChatMessage[]): void {
    this.#idle();
    this.#messages = [...messages];
  }

  /** Writes conversation and cache to a file, whole or not at all. Its size follows the length of the context. */
  async save(file: string): Promise<void> {
    this.#begin();
    try {
      const { template, tools, enableThinking, variables } = this.options;
      const saved: SavedSession = {
        messages: this.#messages,
        turns: this.#turns,
        cached: this.#cached,
        rendering: { template, tools, enableThinking, variables },
        context: await this.#context.save(),
      };
      orRaise(saveSession(file, this.model, saved));
    } finally {
      this.#busy = false;
    }
  }

  /**
   * Reads a session back, for the model that it was saved from (capacity, threads and the like may differ).
   * @param options as for a new session; what concerns the template comes from the file where it is left out
   * @throws WeftError when the file is damaged or of another model.
   */
  static restore(
    model: LanguageModel,
    file: string,
    options: Omit<SessionOptions, "system" | "messages"> = {},
  ): Session {
    const saved = orRaise(loadSession(file, model));
    const session = new Session(model, { ...saved.rendering, ...options });
    session.#context.restore(saved.context);
    session.#messages = saved.messages;
    session.#cached = saved.cached;
    session.#turns = saved.turns;
    session.#check();
    return session;
  }

  /** Lets go of the cache. */
  [Symbol.dispose](): void {
    this.#context[Symbol.dispose]();
    this.#cached = CachedText.empty;
  }

  async *#run(
    message: string | ChatMessage | readonly ChatMessage[],
    options: SendOptions,
    finish: (result: TurnResult) => void,
  ): AsyncGenerator<GeneratedToken, void> {
    this.#begin();
    try {
      const contextBefore = this.#context.length;
      const turn = await this.#prepare(message, options);
      if (this.options.history === "replay") this.#context.reset();
      const generation = generate(this.model, turn.promptTokens, {
        ...this.options,
        ...defined(options),
        context: this.#context,
        text: true,
        reserve: turn.closingTokens.length + 1 + (hasStops(options, this.options) ? tailRoom : 0),
      });
      try {
        yield* generation;
      } finally {
        const { summary } = generation;
        if (summary === undefined || summary.tokens.length === 0) this.#keepPartial(turn);
        // Also where the reader went away in the middle: then there is a summary all the same.
        if (summary !== undefined) finish(await this.#close(turn, summary, contextBefore));
      }
    } finally {
      this.#busy = false;
    }
  }

  async #prepare(
    message: string | ChatMessage | readonly ChatMessage[],
    { replaceHistory = false }: SendOptions,
  ): Promise<PreparedTurn> {
    const added = listOf(message);
    if (added.length === 0) {
      throw new WeftError([userProblem("session", "needs at least one message", { given: "none" })]);
    }
    const anew = replaceHistory || added[0]!.role === "system";
    const messages = anew ? added : [...this.#messages, ...added];
    const { template: choice, tools, enableThinking, variables } = this.options;
    const render: RenderOptions = defined({ tools, enableThinking, variables });
    const template = this.model.chatTemplate(choice);
    const tokenizer = this.model.tokenizer();
    const rendering = orRaise(template.render(messages, { ...render, addGenerationPrompt: true }));
    const closing = closingOf(template, messages, render);
    const anchor = this.#cached.commonAnchor(rendering);
    const rest = await tokenizer.encode(rendering.slice(anchor.text));
    return {
      messages,
      rendering,
      anchor,
      promptTokens: [...this.#cached.tokens.slice(0, anchor.tokens), ...rest],
      closing,
      closingTokens: await tokenizer.encode(closing),
    };
  }

  /** Records the answer and closes the turn in the cache. */
  async #close(turn: PreparedTurn, summary: GenerationSummary, contextBefore: number): Promise<TurnResult> {
    const started = performance.now();
    const answered = summary.tokens.length > 0;
    const answer = await this.#answerOf(summary);
    let closing = 0;
    let message: ChatMessage | undefined;
    if (answered) {
      const tokens = [...turn.promptTokens, ...answer.tokens, ...turn.closingTokens];
      closing = await holdExactly(this.#context, tokens);
      const text = turn.rendering + answer.text + turn.closing;
      this.#cached = this.#cached.continued(turn.anchor, text, tokens);
      message = { role: "assistant", content: answer.text };
      this.#messages = [...turn.messages, message];
      this.#turns++;
    }
    this.#check();
    const report: TurnReport = {
      turn: answered ? this.#turns : this.#turns + 1,
      finish: summary.finish,
      contextBefore,
      contextAfter: this.#context.length,
      promptTokens: turn.promptTokens.length,
      reused: summary.reused,
      prefilled: summary.prefilled,
      generated: summary.tokens.length,
      closing,
      dropped: summary.dropped,
      timing: { ...summary.timing, closingMilliseconds: performance.now() - started },
    };
    return { report, message, text: summary.text };
  }

  /** The answer without what ended it. */
  async #answerOf({ tokens, text, finish }: GenerationSummary) {
    const tokenizer = this.model.tokenizer();
    const kept = finish === "stop-token" ? tokens.slice(0, -1) : tokens;
    const whole = tokenizer.decode(kept, { skipSpecial: false });
    if (finish !== "stop-string") return { tokens: kept, text: whole };
    return cutAnswer(tokenizer, kept, text, tailRoom);
  }

  /**
   * After a turn that came to nothing the context is as it was, or holds a beginning of the turn's prompt, or all of it
   * and tokens of an answer, which go.
   */
  #keepPartial({ promptTokens, anchor }: PreparedTurn): void {
    const context = this.#context;
    const { tokens } = this.#cached;
    const untouched = context.dropped + context.length === tokens.length;
    if (untouched && sameTokens(context.tokens, tokens.slice(context.dropped))) return;
    if (context.dropped > promptTokens.length) {
      context.reset();
      this.#cached = CachedText.empty;
      return;
    }
    let common = 0;
    while (common < context.length && context.tokens[common] === promptTokens[context.dropped + common])
      common++;
    context.truncate(common);
    this.#cached = this.#cached.cutTo(anchor, promptTokens.slice(0, context.dropped + common));
  }

  #begin(): void {
    this.#idle();
    this.#busy = true;
  }

  #idle(): void {
    if (!this.#busy) return;
    throw new WeftError([
      userProblem("session", "one turn must be read to its end before the next begins", {
        remedy: "read it, or end it by its signal",
      }),
    ]);
  }

  #check(): void {
    const { length, dropped } = this.#context;
    if (dropped + length === this.#cached.tokens.length) return;
    throw new WeftError([
      internalProblem("session", "the cache must hold the tokens of the context", {
        given: `${length} positions behind ${dropped} dropped ones, ${this.#cached.tokens.length} tokens`,
      }),
    ]);
  }
}

const sameTokens = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((token, index) => token === b[index]);

const listOf = (message: string | ChatMessage | readonly ChatMessage[]): readonly ChatMessage[] =>
  typeof message === "string"
    ? [{ role: "user", content: message }]
    : Array.isArray(message)
      ? message
      : [message as ChatMessage];

const hasStops = (...options: readonly { readonly stop?: readonly string[] | undefined }[]): boolean =>
  (options.find(({ stop }) => stop !== undefined)?.stop ?? []).length > 0;

/** An option that is undefined must not hide the session's, nor be there for a template. */
function defined<T extends object>(options: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as never;
}
