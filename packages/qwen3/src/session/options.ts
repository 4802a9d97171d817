/** What a session can be asked for. */
import type { GenerateOptions } from "../inference/generate-options.ts";
import type { ChatMessage } from "../text/chat-template.ts";

/** Everything about generation but what a session decides itself. */
export type TurnOptions = Omit<GenerateOptions, "context" | "text" | "reserve">;

export interface SessionOptions extends Omit<TurnOptions, "signal" | "onPrefill"> {
  /** A system message to begin with. */
  readonly system?: string | undefined;
  /** A conversation to begin with; behind the system message, if there is one. */
  readonly messages?: readonly ChatMessage[] | undefined;
  /** The name of a chat template; default the checkpoint's own. See `chatTemplateOf`. */
  readonly template?: string | undefined;
  /** Functions that the model may call, as JSON schema objects. */
  readonly tools?: readonly unknown[] | undefined;
  /** The thinking switch of Qwen3's templates; left out, the template decides. */
  readonly enableThinking?: boolean | undefined;
  /** Further variables of the template. */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
  /**
   * `reuse` (the default): run only what is not cached. `replay`: run the same tokens anew at every turn, for
   * comparison.
   */
  readonly history?: "reuse" | "replay" | undefined;
}

/** Options of one turn; they go before the session's. */
export interface SendOptions extends TurnOptions {
  /** The messages are the whole conversation, and replace what was there. Default false. */
  readonly replaceHistory?: boolean | undefined;
}
