/** The conversation in a session file, as JSON: checked field by field, so that a wrong key is named. */
import { nearestName } from "@weft/dsl";
import {
  type Checked,
  type Problem,
  refuse,
  showGiven,
  unlessProblems,
  userProblem,
} from "../config/problems.ts";
import type { ChatMessage } from "../text/chat-template.ts";
import type { Anchor } from "./cached-text.ts";
import type { SessionOptions } from "./options.ts";

/** What a session file says besides its tensors. */
export interface SessionFields {
  readonly messages: readonly ChatMessage[];
  readonly turns: number;
  /** The text of the cached tokens, up to the last anchor. */
  readonly text: string;
  readonly anchors: readonly Anchor[];
  readonly rendering: Pick<SessionOptions, "template" | "tools" | "enableThinking" | "variables">;
  /** How many of the tokens were dropped from the front of the cache. */
  readonly dropped: number;
}

type Json = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isCount = (value: unknown, most: number): value is number =>
  typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= most;

/** Tells each wrong value by its key. */
class Checker {
  readonly problems: Problem[] = [];
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  require(holds: boolean, key: string, requirement: string, value: unknown): void {
    if (holds) return;
    this.problems.push(
      userProblem(this.#file, `${key} must be ${requirement}`, {
        given: showGiven(value),
        remedy: `correct "${key}" in the file's metadata, or save the session again`,
      }),
    );
  }

  /** Unknown keys are refused: a misspelt one would be an option that silently does not hold. */
  keys(object: Json, place: string, known: readonly string[]): void {
    for (const key of Object.keys(object)) {
      const near = nearestName(key, known);
      const hint = near === undefined ? "" : `; did you mean "${near}"?`;
      this.require(
        known.includes(key),
        `${place}${key}`,
        `absent: a session has no such key${hint}`,
        object[key],
      );
    }
  }
}

function checkMessages(checker: Checker, messages: unknown): void {
  checker.require(Array.isArray(messages), "messages", "a list", messages);
  if (!Array.isArray(messages)) return;
  messages.forEach((message: unknown, at) => {
    checker.require(isObject(message), `messages[${at}]`, "an object with a role", message);
    if (!isObject(message)) return;
    const { role, content } = message;
    checker.require(typeof role === "string", `messages[${at}].role`, "a name, like user", role);
    const fits = content === undefined || typeof content === "string" || typeof content === "object";
    checker.require(fits, `messages[${at}].content`, "a string, or a list of parts", content);
  });
}

function checkAnchors(checker: Checker, anchors: unknown, text: string, tokens: number): void {
  checker.require(Array.isArray(anchors), "anchors", "a list", anchors);
  if (!Array.isArray(anchors)) return;
  let before: Anchor = { text: 0, tokens: 0 };
  anchors.forEach((anchor: unknown, at) => {
    const key = `anchors[${at}]`;
    checker.require(isObject(anchor), key, "an object with text and tokens", anchor);
    if (!isObject(anchor)) return;
    const { text: character, tokens: token } = anchor;
    const inText = isCount(character, text.length);
    const inTokens = isCount(token, tokens);
    checker.require(
      inText,
      `${key}.text`,
      `an integer from 0 to ${text.length}, the length of "text"`,
      character,
    );
    checker.require(inTokens, `${key}.tokens`, `an integer from 0 to ${tokens}, the number of tokens`, token);
    if (!inText || !inTokens) return;
    const ascends = character >= before.text && token >= before.tokens;
    checker.require(ascends, key, "at or behind the anchor before it", anchor);
    before = { text: character, tokens: token };
  });
}

function checkRendering(checker: Checker, rendering: unknown): void {
  checker.require(isObject(rendering), "rendering", "an object", rendering);
  if (!isObject(rendering)) return;
  const { template, tools, enableThinking, variables } = rendering;
  const optional = (value: unknown, fits: boolean, key: string, requirement: string) =>
    checker.require(value === undefined || fits, `rendering.${key}`, requirement, value);
  optional(template, typeof template === "string", "template", "the name of a chat template");
  optional(tools, Array.isArray(tools), "tools", "a list");
  optional(enableThinking, typeof enableThinking === "boolean", "enableThinking", "true or false");
  optional(variables, isObject(variables), "variables", "an object");
  checker.keys(rendering, "rendering.", ["template", "tools", "enableThinking", "variables"]);
}

/**
 * Reads the conversation of a session file.
 * @param json the metadata under "session"
 * @param tokens the number of tokens in the file, dropped ones included
 * @returns Left: every field that is not as `saveSession` writes it, each by its key.
 */
export function sessionFields(
  file: string,
  json: string | undefined,
  tokens: number,
): Checked<SessionFields> {
  let fields: unknown;
  try {
    fields = JSON.parse(json ?? "");
  } catch {
    fields = undefined;
  }
  if (!isObject(fields)) {
    return refuse(file, 'the metadata "session" must be a JSON object', {
      given: showGiven(json),
      remedy: "save the session again, or undo what was edited",
    });
  }
  const checker = new Checker(file);
  const { messages, turns, text, anchors, rendering, dropped } = fields;
  checkMessages(checker, messages);
  checker.require(isCount(turns, Number.MAX_SAFE_INTEGER), "turns", "an integer of at least 0", turns);
  checker.require(typeof text === "string", "text", "a string", text);
  checkAnchors(checker, anchors, typeof text === "string" ? text : "", tokens);
  checkRendering(checker, rendering);
  checker.require(
    isCount(dropped, tokens),
    "dropped",
    `an integer from 0 to ${tokens}, the number of tokens`,
    dropped,
  );
  checker.keys(fields, "", ["messages", "turns", "text", "anchors", "rendering", "dropped"]);
  return unlessProblems(checker.problems, () => fields as unknown as SessionFields);
}
