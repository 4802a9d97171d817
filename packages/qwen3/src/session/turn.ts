/** One turn of a chat: the stream of the answer, and what it took. */
import type { FinishReason, GeneratedToken } from "../inference/generate.ts";
import type { GenerationTiming } from "../inference/timing.ts";
import type { ChatMessage } from "../text/chat-template.ts";

export interface TurnReport {
  /** Counted from 1. */
  readonly turn: number;
  readonly finish: FinishReason;
  /** Tokens in the cache before and after the turn; each is the length of the context, too. */
  readonly contextBefore: number;
  readonly contextAfter: number;
  /** Tokens of the rendered conversation with its generation prompt. */
  readonly promptTokens: number;
  /** Those of them that were in the cache, and that were run. */
  readonly reused: number;
  readonly prefilled: number;
  /** Tokens of the answer, a final stop token included. */
  readonly generated: number;
  /** Tokens that were run at the end: the last one of the answer and what closes the turn. */
  readonly closing: number;
  /** Oldest tokens that had to go. */
  readonly dropped: number;
  readonly timing: GenerationTiming & { readonly closingMilliseconds: number };
}

/** What a turn ends with. */
export interface TurnResult {
  readonly report: TurnReport;
  /** The answer as it stands in the conversation; undefined when the turn was aborted before its first token. */
  readonly message: ChatMessage | undefined;
  /** The text as it was streamed. */
  readonly text: string;
}

/** Can be read once; reading drives it. A reader that goes away ends the turn as an abort does. */
export class Turn implements AsyncIterable<GeneratedToken> {
  readonly #tokens: AsyncGenerator<GeneratedToken, void>;
  #result: TurnResult | undefined;

  /** Made by `Session.send`. */
  constructor(run: (finish: (result: TurnResult) => void) => AsyncGenerator<GeneratedToken, void>) {
    this.#tokens = run((result) => {
      this.#result = result;
    });
  }

  /** Undefined until the turn has ended. */
  get result(): TurnResult | undefined {
    return this.#result;
  }

  [Symbol.asyncIterator](): AsyncGenerator<GeneratedToken, void> {
    return this.#tokens;
  }

  /** Reads the rest, and gives the result of the whole. */
  async finish(): Promise<TurnResult> {
    for await (const _ of this.#tokens);
    return this.#result!;
  }
}
