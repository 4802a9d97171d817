/** Small JSON files of a checkpoint directory, with errors that name the file. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname } from "node:path";
import * as Either from "fp-ts/lib/Either.js";
import { type Checked, messageOf, refuse, showGiven } from "./problems.ts";

export type JsonObject = Readonly<Record<string, unknown>>;

/** Largest JSON file that is read whole; the tokenizer of the released models has 11 MB. */
const sizeLimit = 512 * 1024 * 1024;

/** What a path leads to; `absent` also where it cannot be looked at. Never throws. */
export function kindOfPath(path: string): "file" | "directory" | "other" | "absent" {
  try {
    const status = statSync(path);
    return status.isFile() ? "file" : status.isDirectory() ? "directory" : "other";
  } catch {
    return "absent";
  }
}

/** The directory that a path means: that of a file is the one that holds it. */
export const directoryOf = (path: string): string => (kindOfPath(path) === "file" ? dirname(path) : path);

/** The names in a directory, sorted; none where it cannot be read. */
export function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory).sort();
  } catch {
    return [];
  }
}

/** The text of a file without a byte order mark. Left: absent, a directory, too large, unreadable. */
export function readTextFile(file: string, remedy: string): Checked<string> {
  try {
    const status = statSync(file);
    if (!status.isFile()) return refuse(file, "must be a regular file", { remedy });
    if (status.size > sizeLimit) {
      return refuse(file, `must have at most ${sizeLimit} bytes`, { given: `${status.size} bytes`, remedy });
    }
    const text = readFileSync(file, "utf8");
    return Either.right(text.charCodeAt(0) === 0xfeff ? text.slice(1) : text);
  } catch (error) {
    const absent = (error as NodeJS.ErrnoException).code;
    return absent === "ENOENT" || absent === "ENOTDIR"
      ? refuse(file, "must exist", { given: "no such file", remedy })
      : refuse(file, "must be readable", { given: messageOf(error), remedy });
  }
}

/** Parses text that must hold one JSON object. `file` names the source in messages. */
export function parseJsonObject(text: string, file: string, remedy: string): Checked<JsonObject> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return refuse(file, "must be valid JSON", { given: messageOf(error), remedy });
  }
  return asJsonObject(value, file, remedy);
}

/** Refuses everything but an object (no array, no null). */
export function asJsonObject(value: unknown, file: string, remedy: string): Checked<JsonObject> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? Either.right(value as JsonObject)
    : refuse(file, "must hold a JSON object", { given: showGiven(value), remedy });
}

/** Reads a file that must hold one JSON object. */
export function readJsonObject(file: string, remedy: string): Checked<JsonObject> {
  return Either.chain((text: string) => parseJsonObject(text, file, remedy))(readTextFile(file, remedy));
}
