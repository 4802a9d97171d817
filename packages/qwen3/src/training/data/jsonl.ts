/** JSON Lines: one document a line, `{"text": ...}` or `{"messages": [...]}`. */
import { nearestName } from "@weft/dsl";
import * as Either from "fp-ts/lib/Either.js";
import { type JsonMember, jsonMembers } from "../../config/json-text.ts";
import { type Problem, showGiven, userProblem } from "../../config/problems.ts";
import type { ChatMessage } from "../../text/chat-template.ts";
import type { ConversationRenderer } from "./conversation.ts";
import { piecesOf, type Reading } from "./document.ts";
import { jsonErrorAt } from "./json-syntax.ts";
import { linesOf } from "./lines.ts";

/** Roles of Qwen's templates; another one would be written into a frame that the model has never seen. */
export const roles = ["system", "user", "assistant", "tool"] as const;

/** How a conversation becomes text; called at the first one, so that plain text needs no template. */
export type RendererSource = () => ConversationRenderer;

/** Reads a JSONL file; lines of spaces are no documents. */
export async function* readJsonl(file: string, renderer: RendererSource): AsyncGenerator<Reading> {
  for await (const line of linesOf(file)) {
    if (line.problem !== undefined) yield { problem: line.problem };
    else if (line.text.trim() !== "") yield* documentOf(file, line.number, line.text, renderer);
  }
}

function* documentOf(
  file: string,
  number: number,
  line: string,
  renderer: RendererSource,
): Generator<Reading> {
  const refused = (
    at: number,
    requirement: string,
    given: string,
    remedy: string,
    path?: string,
  ): Reading => ({
    problem: userProblem(file, requirement, {
      given,
      ...(path === undefined ? {} : { path }),
      location: `${file}:${number}:${at + 1}`,
      remedy,
    }),
  });
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    const at = jsonErrorAt(line) ?? 0;
    const given = at >= line.length ? "the end of the line" : showGiven(line.slice(at, at + 20));
    return yield refused(at, "each line must be valid JSON", given, "correct the line, or skip bad lines");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return yield refused(0, "each line must hold a JSON object", showGiven(value), 'write {"text": ...}');
  }
  const members = new Map([...jsonMembers(line)].map((member) => [member.key, member] as const));
  const { text, messages } = value as Record<string, unknown>;
  const [textMember, messagesMember] = [members.get("text"), members.get("messages")];
  if ((textMember === undefined) === (messagesMember === undefined)) {
    const given = textMember === undefined ? `keys ${[...members.keys()].join(", ") || "none"}` : "both";
    const at = line.search(/\S/);
    return yield refused(at, 'a line must have either "text" or "messages"', given, "name the key so");
  }
  const location = `${file}:${number}`;
  if (textMember !== undefined) {
    if (typeof text !== "string") {
      return yield refused(textMember.begin, '"text" must be a string', showGiven(text), "correct the line");
    }
    if (text === "") {
      return yield refused(textMember.begin, '"text" must not be empty', '""', "take the line out");
    }
    return yield* piecesOf([{ text, learn: true }], location, true);
  }
  const problem = messagesProblem(messages, messagesMember!, refused);
  if (problem !== undefined) return yield problem;
  const rendered = renderer()(messages as readonly ChatMessage[], value as Record<string, unknown>);
  if (Either.isRight(rendered)) return yield* piecesOf(rendered.right, location, false);
  const place = `${location}:${messagesMember!.begin + 1}`;
  for (const one of rendered.left) yield { problem: { ...one, location: place } satisfies Problem };
}

type Refused = (at: number, requirement: string, given: string, remedy: string, path?: string) => Reading;

/** The first thing wrong with the form of a conversation. */
function messagesProblem(messages: unknown, { begin }: JsonMember, refused: Refused): Reading | undefined {
  if (!Array.isArray(messages) || messages.length === 0) {
    return refused(
      begin,
      '"messages" must be a list with at least one message',
      showGiven(messages),
      "correct the line",
    );
  }
  for (const [index, message] of (messages as unknown[]).entries()) {
    const path = `messages[${index}]`;
    if (typeof message !== "object" || message === null || Array.isArray(message)) {
      return refused(begin, "a message must be an object", showGiven(message), "correct the line", path);
    }
    const { role, content, tool_calls: calls } = message as Record<string, unknown>;
    if (!roles.includes(role as (typeof roles)[number])) {
      const near = typeof role === "string" ? nearestName(role, roles) : undefined;
      const remedy = near === undefined ? "correct the role" : `did you mean "${near}"?`;
      return refused(begin, `role must be one of ${roles.join(", ")}`, showGiven(role), remedy, path);
    }
    const callsTools = role === "assistant" && Array.isArray(calls) && calls.length > 0;
    if (typeof content !== "string" && !(callsTools && (content === undefined || content === null))) {
      return refused(begin, "content must be a string", showGiven(content), "correct the message", path);
    }
  }
  if (!(messages as { role: string }[]).some(({ role }) => role === "assistant")) {
    const given = (messages as { role: string }[]).map(({ role }) => role).join(", ");
    return refused(begin, "a conversation must have an assistant turn to learn", given, "take the line out");
  }
  return undefined;
}
