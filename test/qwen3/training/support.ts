/** Small data sets and the tokenizer of the fixtures. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Problems, WeftError } from "@weft/dsl";
import { openTokenizer, type PrepareDataOptions, parseChatTemplate, prepareData } from "@weft/qwen3";
import * as Either from "fp-ts/lib/Either.js";
import { fixtures, right } from "../weights/files.ts";

export const tokenizer = right(openTokenizer(join(fixtures, "tiny")));
const templateFile = join(fixtures, "chat-template/chat_template.jinja");
export const template = () => parseChatTemplate(readFileSync(templateFile, "utf8"), "chat_template.jinja");

/** Prepares one file of the given text. */
export async function prepared(
  folder: string,
  name: string,
  text: string | Uint8Array,
  options: Partial<PrepareDataOptions> = {},
) {
  writeFileSync(join(folder, name), text);
  return prepareData({
    files: [join(folder, name)],
    tokenizer,
    vocabSize: 320,
    template,
    cache: join(folder, "cache"),
    ...options,
  });
}

/** The sentences of a refusal, with the folder taken out. */
export function sentences(result: Either.Either<Problems, unknown>, folder: string): string[] {
  if (Either.isRight(result)) throw new Error("was accepted");
  return new WeftError(result.left).message.replaceAll(`${folder}/`, "").split("\n");
}
