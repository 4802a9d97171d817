/** generation_config.json: how the publisher of a checkpoint means it to be sampled, and where it stops. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { sequenceS } from "fp-ts/lib/Apply.js";
import * as Either from "fp-ts/lib/Either.js";
import { type Fields, fieldsOf, tokenIds } from "./fields.ts";
import { asJsonObject, readJsonObject } from "./json-file.ts";
import { type Checked, collecting, type Problems, refuse, showGiven } from "./problems.ts";

/** Every value is optional: an absent file is an empty configuration. */
export interface GenerationConfig {
  readonly eosTokenIds: readonly number[];
  /** False or absent means greedy, as in transformers. */
  readonly doSample: boolean | undefined;
  readonly temperature: number | undefined;
  readonly topK: number | undefined;
  readonly topP: number | undefined;
  readonly minP: number | undefined;
  readonly repetitionPenalty: number | undefined;
  readonly maxNewTokens: number | undefined;
}

const remedy = "correct the file, or remove it: it is optional";
const knownKeys = new Set([
  "eos_token_id",
  "do_sample",
  "temperature",
  "top_k",
  "top_p",
  "min_p",
  "repetition_penalty",
  "max_new_tokens",
]);

/** Reads `generation_config.json` of a directory; an absent one is empty. `vocabSize` bounds the stop ids. */
export function readGenerationConfig(
  directory: string,
  vocabSize: number,
): Either.Either<Problems, GenerationConfig> {
  const file = join(directory, "generation_config.json");
  if (!existsSync(file)) return parseGenerationConfig({}, file, vocabSize);
  return Either.chain((json: unknown) => parseGenerationConfig(json, file, vocabSize))(
    readJsonObject(file, remedy),
  );
}

/** Checks a parsed generation_config.json; all wrong values are reported together. */
export function parseGenerationConfig(
  json: unknown,
  file: string,
  vocabSize: number,
): Either.Either<Problems, GenerationConfig> {
  const object = asJsonObject(json, file, remedy);
  if (Either.isLeft(object)) return object;
  const fields = fieldsOf(object.right, file, knownKeys);
  return sequenceS(collecting)({
    eosTokenIds: tokenIds(fields, "eos_token_id", vocabSize),
    doSample: fields.has("do_sample") ? fields.boolean("do_sample", false) : Either.right(undefined),
    temperature: optionalNumber(fields, "temperature", 0, Number.MAX_VALUE),
    topK: optionalInteger(fields, "top_k"),
    topP: optionalNumber(fields, "top_p", 0, 1),
    minP: optionalNumber(fields, "min_p", 0, 1),
    repetitionPenalty: optionalNumber(fields, "repetition_penalty", Number.MIN_VALUE, Number.MAX_VALUE),
    maxNewTokens: optionalInteger(fields, "max_new_tokens"),
  });
}

/**
 * All ids that end a text: the union of what generation_config.json, config.json and the tokenizer's `eos_token`
 * say, ascending. The released chat models need it: config.json names only the end of a turn, a base model only the
 * end of a text.
 */
export function stopTokenIds(
  config: { readonly eosTokenIds: readonly number[] },
  generation?: { readonly eosTokenIds: readonly number[] },
  tokenizer?: { readonly eosTokenId: number | undefined },
): readonly number[] {
  const ids = new Set([...config.eosTokenIds, ...(generation?.eosTokenIds ?? [])]);
  if (tokenizer?.eosTokenId !== undefined) ids.add(tokenizer.eosTokenId);
  return [...ids].sort((a, b) => a - b);
}

function optionalInteger(fields: Fields, key: string): Checked<number | undefined> {
  return fields.has(key) ? fields.integer(key, { least: 0, most: 2 ** 31 - 1 }) : Either.right(undefined);
}

function optionalNumber(
  fields: Fields,
  key: string,
  least: number,
  most: number,
): Checked<number | undefined> {
  if (!fields.has(key)) return Either.right(undefined);
  const value = fields.get(key);
  if (typeof value === "number" && value >= least && value <= most) return Either.right(value);
  const range =
    most === Number.MAX_VALUE ? (least === 0 ? "at least 0" : "above 0") : `from ${least} to ${most}`;
  return refuse(fields.file, `${key} must be a number ${range}`, { given: showGiven(value), remedy });
}
