/** One conversation: turns go to the model, answers to the screen, both into the log. */
import { type Qwen3, Session, type TurnOptions, type TurnResult } from "@weft/qwen3";
import { interruption } from "../terminal/interrupt.ts";
import { remark, write } from "../terminal/output.ts";
import { Progress } from "../terminal/progress.ts";
import type { ConversationLog } from "./log.ts";

/** What an answer was asked for with; a replay asks for the same. */
export type AnswerOptions = Pick<
  TurnOptions,
  "temperature" | "topK" | "topP" | "minP" | "repetitionPenalty" | "seed" | "maxTokens" | "stop" | "clip"
>;

export interface Answer {
  readonly text: string;
  readonly result: TurnResult;
}

export class Conversation implements Disposable {
  readonly #session: Session;
  readonly #options: AnswerOptions;
  readonly #log: ConversationLog | undefined;
  /** Tells the conversations of one log apart. */
  readonly #name = new Date().toISOString();
  #logged = 0;
  #warned = false;

  constructor(
    model: Qwen3,
    { system, template }: { readonly system: string | undefined; readonly template: string | undefined },
    options: AnswerOptions,
    log?: ConversationLog | undefined,
  ) {
    // A long conversation goes on without its beginning, unless asked otherwise; it is said when that happens.
    const clip = options.clip ?? "drop-oldest";
    this.#session = new Session(model, { system, template, ...options, clip });
    this.#options = options;
    this.#log = log;
    if (system !== undefined) this.#record({ role: "system", content: system });
  }

  /**
   * Sends a turn and streams the answer.
   * @param show whether the answer goes to the screen
   * @param options go before those of the conversation
   */
  async send(content: string, show: boolean, options: AnswerOptions = {}): Promise<Answer> {
    this.#record({ role: "user", content });
    const progress = new Progress();
    const turn = this.#session.send(content, {
      ...options,
      signal: interruption,
      onPrefill: (done, total) => {
        if (done >= total) progress.clear();
        else progress.update("reading", done, total);
      },
    });
    try {
      for await (const { text } of turn) if (show) await write(text);
    } finally {
      progress.clear();
    }
    const result = turn.result!;
    const { report } = result;
    if (show) await write("\n");
    if (report.dropped > 0) remark(`(the oldest ${report.dropped} tokens of the conversation were dropped)`);
    this.#record({
      role: "assistant",
      content: result.text,
      finishReason: report.finish,
      tokens: report.generated,
      promptTokens: report.promptTokens,
      reused: report.reused,
      contextTokens: report.contextAfter,
      timing: report.timing,
      options: this.#options,
    });
    return { text: result.text, result };
  }

  #record(entry: object): void {
    if (this.#log === undefined) return;
    const time = new Date().toISOString();
    this.#log.append({ conversation: this.#name, message: this.#logged++, ...entry, time });
    if (this.#log.failure === undefined || this.#warned) return;
    this.#warned = true;
    remark(this.#log.failure);
  }

  [Symbol.dispose](): void {
    this.#session[Symbol.dispose]();
  }
}
