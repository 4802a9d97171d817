/** `weft chat`: a conversation, typed, from a file, or replayed from a log. */
import { type AnswerOptions, Conversation } from "../chat/conversation.ts";
import { ConversationLog } from "../chat/log.ts";
import { readLog, replay } from "../chat/replay.ts";
import { readTurns } from "../chat/turns.ts";
import { typedTurns } from "../chat/typed-turns.ts";
import type { ChatOptions } from "../commands/chat.ts";
import { openModel, samplingOf } from "../model/open.ts";
import { FailureError } from "../terminal/failure.ts";
import { interruption, stopsInOrder } from "../terminal/interrupt.ts";
import { print } from "../terminal/output.ts";

export async function chat(directory: string, options: ChatOptions): Promise<void> {
  // Files are read and opened before gigabytes are loaded.
  if (options.replay !== undefined) return replayLog(directory, options, options.replay);
  const turns = options.turns === undefined ? undefined : readTurns(options.turns);
  using log = options.log === undefined ? undefined : new ConversationLog(options.log);
  using _order = stopsInOrder();
  using model = await openModel(directory, options, { withTokenizer: true });
  // Without a template there is nothing to say; better known before somebody types.
  model.chatTemplate(options.template);
  const beginning = { system: options.system ?? turns?.system, template: options.template };
  using conversation = new Conversation(model, beginning, answerOptions(options), log);
  for await (const turn of turns?.user ?? typedTurns()) {
    if (interruption.aborted) break;
    if (turns !== undefined && process.stdout.isTTY === true) await print(`> ${turn}`);
    await conversation.send(turn, true);
  }
  if (log?.failure !== undefined) throw new FailureError("the conversation is not logged to its end");
}

function answerOptions(options: ChatOptions): AnswerOptions {
  const { maxTokens, stop, clip } = options;
  return { ...samplingOf(options), maxTokens, stop, clip };
}

async function replayLog(directory: string, options: ChatOptions, file: string): Promise<void> {
  const conversations = readLog(file);
  using _order = stopsInOrder();
  using model = await openModel(directory, options, { withTokenizer: true });
  const overrides = { ...samplingOf(options), clip: options.clip };
  const differing = await replay(model, conversations, options.template, overrides);
  if (differing > 0) throw new FailureError(`${differing} answers differ from the log`);
}
