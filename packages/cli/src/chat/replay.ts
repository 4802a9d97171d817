/** Sends the turns of a log again and compares the answers. */
import type { Qwen3 } from "@weft/qwen3";
import { interruption } from "../terminal/interrupt.ts";
import { print } from "../terminal/output.ts";
import { refuse } from "../terminal/refuse.ts";
import { type AnswerOptions, Conversation } from "./conversation.ts";
import { type Message, readMessages } from "./turns.ts";

interface LoggedTurn {
  readonly user: string;
  readonly answer: string;
  readonly options: AnswerOptions;
  /** An answer that was broken off has no equal. */
  readonly whole: boolean;
}

export interface LoggedConversation {
  readonly system: string | undefined;
  readonly turns: readonly LoggedTurn[];
}

export function readLog(file: string): readonly LoggedConversation[] {
  const groups = new Map<unknown, Message[]>();
  for (const message of readMessages("--replay", file)) {
    const { conversation } = message.line;
    const group = groups.get(conversation);
    if (group === undefined) groups.set(conversation, [message]);
    else group.push(message);
  }
  const conversations = [...groups.values()].map(conversationOf).filter((one) => one.turns.length > 0);
  if (conversations.length === 0) {
    refuse("--replay", "must hold at least one turn with its answer", { given: "none", location: file });
  }
  return conversations;
}

function conversationOf(messages: readonly Message[]): LoggedConversation {
  const turns = messages.flatMap((message, index): LoggedTurn[] => {
    const answer = messages[index + 1];
    if (message.role !== "user" || answer?.role !== "assistant") return [];
    return [
      {
        user: message.content,
        answer: answer.content,
        options: optionsOf(answer.line.options),
        whole: answer.line.finishReason !== "abort",
      },
    ];
  });
  return { system: messages.find((one) => one.role === "system")?.content, turns };
}

/** The options that a line names, as far as they have the right type; the sampler checks their values. */
function optionsOf(value: unknown): AnswerOptions {
  if (typeof value !== "object" || value === null) return {};
  const given = Object.entries(value).filter(
    ([key, one]) =>
      (numbers.has(key) && typeof one === "number") ||
      (key === "clip" && (one === "error" || one === "drop-oldest")) ||
      (key === "stop" && Array.isArray(one) && one.every((text) => typeof text === "string")),
  );
  return Object.fromEntries(given) as AnswerOptions;
}

const numbers: ReadonlySet<string> = new Set([
  "temperature",
  "topK",
  "topP",
  "minP",
  "repetitionPenalty",
  "seed",
  "maxTokens",
] satisfies (keyof AnswerOptions)[]);

/** @returns how many answers differ */
export async function replay(
  model: Qwen3,
  conversations: readonly LoggedConversation[],
  template: string | undefined,
  overrides: AnswerOptions,
): Promise<number> {
  let differing = 0;
  let count = 0;
  for (const { system, turns } of conversations) {
    using conversation = new Conversation(model, { system, template }, overrides);
    for (const { user, answer, options, whole } of turns) {
      const { text } = await conversation.send(user, false, { ...options, ...defined(overrides) });
      if (interruption.aborted) return differing;
      count++;
      if (!whole) await print(`turn ${count}: not compared, the logged answer was broken off`);
      else if (text === answer) await print(`turn ${count}: equal, ${answer.length} characters`);
      else {
        differing++;
        await print(`turn ${count}: differs ${difference(answer, text)}`);
      }
    }
  }
  return differing;
}

const defined = (options: AnswerOptions): AnswerOptions =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as AnswerOptions;

function difference(logged: string, now: string): string {
  let at = 0;
  while (at < logged.length && logged[at] === now[at]) at++;
  const part = (text: string) => JSON.stringify(text.slice(at, at + 30));
  return `at character ${at}: logged ${part(logged)}, now ${part(now)}`;
}
