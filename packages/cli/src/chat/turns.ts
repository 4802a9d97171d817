/** The turns of a conversation: from a file, or from a log that is sent again. */
import { readFileSync } from "node:fs";
import { extname } from "node:path";
import { refuse } from "../terminal/refuse.ts";

export interface Turns {
  /** What the file says the model is told first. */
  readonly system: string | undefined;
  readonly user: readonly string[];
}

/** Text: one user turn per line. `.jsonl`: one message per line; the answers in it are left to the model. */
export function readTurns(file: string): Turns {
  const text = readText("--turns", file);
  if (extname(file) !== ".jsonl") {
    const user = text.split(/\r?\n/).filter((line) => line.trim() !== "");
    if (user.length === 0)
      refuse("--turns", "must hold at least one turn", { given: "none", location: file });
    return { system: undefined, user };
  }
  const messages = readMessages("--turns", file, text);
  const user = messages.filter((one) => one.role === "user").map((one) => one.content);
  if (user.length === 0)
    refuse("--turns", "must hold at least one user turn", { given: "none", location: file });
  return { system: messages.find((one) => one.role === "system")?.content, user };
}

export interface Message {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
  /** The line as it was read, for what a log holds beside the message. */
  readonly line: Readonly<Record<string, unknown>>;
}

/** One message per line; every wrong line is named. */
export function readMessages(
  source: string,
  file: string,
  text = readText(source, file),
): readonly Message[] {
  return text.split(/\r?\n/).flatMap((line, index): Message[] => {
    if (line.trim() === "") return [];
    const location = `${file}:${index + 1}`;
    const given = line.length > 60 ? `${line.slice(0, 57)}...` : line;
    const message = parseLine(line);
    if (message === undefined) refuse(source, "each line must be a JSON object", { given, location });
    const { role, content } = message;
    if ((role !== "system" && role !== "user" && role !== "assistant") || typeof content !== "string") {
      refuse(source, 'each line must have a "role" (system, user or assistant) and a "content" text', {
        given,
        location,
      });
    }
    return [{ role, content, line: message }];
  });
}

function parseLine(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Readonly<Record<string, unknown>>)
      : undefined;
  } catch {
    return undefined;
  }
}

function readText(source: string, file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    refuse(source, "the file must be readable", {
      given: error instanceof Error ? error.message : String(error),
      location: file,
      remedy: "check the path",
    });
  }
}
