/** The ids that end a text, found without opening the tokenizer, which programs on token ids never need. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import * as Either from "fp-ts/lib/Either.js";
import { stopTokenIds } from "../config/index.ts";
import { readTextFile } from "../config/json-file.ts";
import { readTokenizerConfig } from "../text/tokenizer-config.ts";
import { describeTokenizer } from "../text/tokenizer-description.ts";
import type { PreparedQwen3 } from "./prepare.ts";

/**
 * What config.json, generation_config.json and tokenizer_config.json name. A tokenizer that is absent or broken names
 * nothing here; it is reported when a text is asked for.
 */
export function stopTokensOf({
  directory,
  config,
  generationConfig,
}: Pick<PreparedQwen3, "directory" | "config" | "generationConfig">): readonly number[] {
  const eosTokenId = eosOfTokenizer(directory);
  const fits = eosTokenId !== undefined && eosTokenId < config.vocabSize;
  return stopTokenIds(config, generationConfig, fits ? { eosTokenId } : undefined);
}

function eosOfTokenizer(directory: string): number | undefined {
  const file = join(directory, "tokenizer.json");
  const tokenizerConfig = readTokenizerConfig(directory);
  if (Either.isLeft(tokenizerConfig) || tokenizerConfig.right.eosToken === undefined || !existsSync(file)) {
    return undefined;
  }
  const text = readTextFile(file, "");
  if (Either.isLeft(text)) return undefined;
  try {
    const { addedTokens } = describeTokenizer(text.right);
    return addedTokens.find(({ content }) => content === tokenizerConfig.right.eosToken)?.id;
  } catch {
    return undefined;
  }
}
