/** tokenizer_config.json and the chat templates beside it: what a checkpoint says about its own text. */
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import * as Either from "fp-ts/lib/Either.js";
import { type JsonObject, namesIn, readJsonObject, readTextFile } from "../config/json-file.ts";
import {
  type Checked,
  type Problem,
  type Problems,
  showGiven,
  unlessProblems,
  userProblem,
} from "../config/problems.ts";

export interface TokenizerConfig {
  readonly directory: string;
  /** The texts of the special tokens, where the file names them. */
  readonly bosToken: string | undefined;
  readonly eosToken: string | undefined;
  readonly padToken: string | undefined;
  /** Chat templates by name; the usual one is called `default`. */
  readonly chatTemplates: ReadonlyMap<string, TemplateText>;
}

export interface TemplateText {
  readonly text: string;
  /** The file that it came from. */
  readonly source: string;
}

const remedy = "fetch the file again";

/**
 * Reads `tokenizer_config.json` (optional) and the template files of a checkpoint directory. A template of its own
 * file, `chat_template.jinja` or `additional_chat_templates/NAME.jinja`, wins over one of the same name inside the
 * JSON, as in transformers.
 */
export function readTokenizerConfig(directory: string): Either.Either<Problems, TokenizerConfig> {
  const file = join(directory, "tokenizer_config.json");
  const object: Checked<JsonObject> = existsSync(file) ? readJsonObject(file, remedy) : Either.right({});
  if (Either.isLeft(object)) return object;
  const problems: Problem[] = [];
  const templates = templatesInJson(object.right.chat_template, file, problems);
  for (const [name, path] of templateFiles(directory)) {
    const text = readTextFile(path, remedy);
    if (Either.isLeft(text)) problems.push(...text.left);
    else templates.set(name, { text: text.right, source: path });
  }
  const token = (key: string) => tokenText(object.right, key, file, problems);
  const [bosToken, eosToken, padToken] = [token("bos_token"), token("eos_token"), token("pad_token")];
  return unlessProblems(problems, () => ({
    directory,
    bosToken,
    eosToken,
    padToken,
    chatTemplates: templates,
  }));
}

/** The places where a template may be, for the message when there is none. */
export const templatePlaces = ["chat_template.jinja", "chat_template in tokenizer_config.json"] as const;

function templateFiles(directory: string): [name: string, path: string][] {
  const files: [string, string][] = [];
  const single = join(directory, "chat_template.jinja");
  if (existsSync(single)) files.push(["default", single]);
  const folder = join(directory, "additional_chat_templates");
  for (const name of namesIn(folder)) {
    if (name.endsWith(".jinja")) files.push([basename(name, ".jinja"), join(folder, name)]);
  }
  return files;
}

function templatesInJson(value: unknown, file: string, problems: Problem[]): Map<string, TemplateText> {
  const templates = new Map<string, TemplateText>();
  if (value === undefined || value === null) return templates;
  if (typeof value === "string") return templates.set("default", { text: value, source: file });
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  for (const item of list) {
    const { name, template } = (typeof item === "object" && item !== null ? item : {}) as Record<
      string,
      unknown
    >;
    if (typeof name === "string" && typeof template === "string")
      templates.set(name, { text: template, source: file });
    else {
      problems.push(
        userProblem(file, "chat_template must be a string, or a list of objects with name and template", {
          given: showGiven(item),
          remedy: 'correct "chat_template" in the file',
        }),
      );
    }
  }
  return templates;
}

/** A token is written as its text or as an object with `content`. */
function tokenText(object: JsonObject, key: string, file: string, problems: Problem[]): string | undefined {
  const value = Object.hasOwn(object, key) ? object[key] : undefined;
  if (value === undefined || value === null) return undefined;
  if (typeof value === "string") return value;
  const content = typeof value === "object" ? (value as Record<string, unknown>).content : undefined;
  if (typeof content === "string") return content;
  problems.push(
    userProblem(file, `${key} must be a string, or an object with content`, {
      given: showGiven(value),
      remedy: `correct "${key}" in the file`,
    }),
  );
  return undefined;
}
