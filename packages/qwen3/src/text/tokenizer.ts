/** The checkpoint's own tokenizer, tokenizer.json, run by the Hugging Face `tokenizers` library. */

import { createRequire } from "node:module";
import { join } from "node:path";
import * as Either from "fp-ts/lib/Either.js";
import type { Tokenizer as LibraryTokenizer } from "tokenizers";
import { kindOfPath, readTextFile } from "../config/json-file.ts";
import { type Checked, messageOf, type Problems, refuse, showGiven } from "../config/problems.ts";
import { bytesOfToken } from "./byte-level.ts";
import { readTokenizerConfig, type TokenizerConfig } from "./tokenizer-config.ts";
import { type AddedToken, describeTokenizer, type TokenizerDescription } from "./tokenizer-description.ts";

export interface DecodeOptions {
  /** Leave out special tokens like `<|im_end|>`. Default true. */
  readonly skipSpecial?: boolean;
}

/** Text to token ids and back. Ids are those of the file, and of the model's embedding table. */
export interface Tokenizer {
  readonly file: string;
  readonly config: TokenizerConfig;
  /** One more than the largest id of the vocabulary; ids in between may be unused. */
  readonly idLimit: number;
  readonly eosTokenId: number | undefined;
  readonly padTokenId: number | undefined;
  readonly specialIds: ReadonlySet<number>;
  /**
   * Token ids of a text. Special tokens written in the text become their ids. Nothing is put around the text
   * unless `addSpecial` asks for what tokenizer.json's post-processor adds (for Qwen3: nothing).
   */
  encode(text: string, options?: { readonly addSpecial?: boolean }): Promise<number[]>;
  /**
   * The text of ids, at once. Bytes that are not UTF-8 become U+FFFD; an id without a token is no text. For text
   * that arrives id by id see `TextStream`.
   */
  decode(ids: Iterable<number>, options?: DecodeOptions): string;
  idToToken(id: number): string | undefined;
  tokenToId(token: string): number | undefined;
  /**
   * The bytes of one token, undefined for an unused id. Undefined for every id where the tokenizer is not
   * byte-level (`byteLevel` false): then a token has no bytes of its own.
   */
  bytesOf(id: number): Uint8Array | undefined;
  readonly byteLevel: boolean;
}

/** Loaded on first use: a run on token ids alone should not pay for it in time or memory. */
const loadLibrary = (): typeof import("tokenizers") => createRequire(import.meta.url)("tokenizers");

const remedy = "fetch tokenizer.json of the checkpoint again";

/**
 * Opens the tokenizer of a checkpoint directory, or one tokenizer.json file.
 *
 * Left: the file is absent or broken, or tokenizer_config.json is.
 *
 * @example
 * const tokenizer = openTokenizer("models/Qwen3-0.6B");
 * if (Either.isRight(tokenizer)) console.log(await tokenizer.right.encode("Hello <|im_end|>"));
 */
export function openTokenizer(path: string): Either.Either<Problems, Tokenizer> {
  const isFile = kindOfPath(path) === "file";
  const file = isFile ? path : join(path, "tokenizer.json");
  const text = readTextFile(file, remedy);
  if (Either.isLeft(text)) return text;
  const config = readTokenizerConfig(isFile ? join(path, "..") : path);
  if (Either.isLeft(config)) return config;
  let library: LibraryTokenizer;
  let description: TokenizerDescription;
  try {
    library = loadLibrary().Tokenizer.fromString(text.right);
    // Training leftovers in the file: they would silently cut or fill every prompt.
    library.disableTruncation();
    library.disablePadding();
    description = describeTokenizer(text.right);
  } catch (error) {
    return refuse(file, "must be a tokenizer as Hugging Face writes it", { given: messageOf(error), remedy });
  }
  return Either.map(
    (ids: IdTranslation): Tokenizer => new CheckpointTokenizer(file, config.right, library, description, ids),
  )(translateIds(library, description.addedTokens, file));
}

/**
 * The library numbers added tokens behind the vocabulary, whatever the file says; a file with unused ids in
 * between, or a padded embedding table, says otherwise. The file is right: the model was trained with its ids.
 */
interface IdTranslation {
  readonly toFile: ReadonlyMap<number, number>;
  readonly toLibrary: ReadonlyMap<number, number>;
}

function translateIds(
  library: LibraryTokenizer,
  added: readonly AddedToken[],
  file: string,
): Checked<IdTranslation> {
  const toFile = new Map<number, number>();
  const toLibrary = new Map<number, number>();
  const owners = new Map<number, string>();
  for (const { id, content } of added) {
    const owner = owners.get(id);
    if (owner !== undefined && owner !== content) {
      return refuse(file, "each added token must have an id of its own", {
        given: `${id} for ${showGiven(owner)} and ${showGiven(content)}`,
        remedy,
      });
    }
    owners.set(id, content);
    const given = library.tokenToId(content);
    if (given === null || given === id) continue;
    toFile.set(given, id);
    toLibrary.set(id, given);
  }
  for (const [id, given] of toLibrary) {
    const occupant = library.idToToken(id);
    if (occupant === null || toFile.has(id)) continue;
    return refuse(file, "an added token must not take the id of another token", {
      given: `${id} for ${showGiven(library.idToToken(given))} and ${showGiven(occupant)}`,
      remedy,
    });
  }
  return Either.right({ toFile, toLibrary });
}

class CheckpointTokenizer implements Tokenizer {
  readonly file: string;
  readonly config: TokenizerConfig;
  readonly idLimit: number;
  readonly eosTokenId: number | undefined;
  readonly padTokenId: number | undefined;
  readonly specialIds: ReadonlySet<number>;
  readonly byteLevel: boolean;
  readonly #library: LibraryTokenizer;
  readonly #ids: IdTranslation;

  constructor(
    file: string,
    config: TokenizerConfig,
    library: LibraryTokenizer,
    description: TokenizerDescription,
    ids: IdTranslation,
  ) {
    this.file = file;
    this.config = config;
    this.#library = library;
    this.#ids = ids;
    this.byteLevel = description.byteLevel;
    this.specialIds = new Set(description.addedTokens.filter(({ special }) => special).map(({ id }) => id));
    this.idLimit = description.addedTokens.reduce(
      (limit, { id }) => Math.max(limit, id + 1),
      library.getVocabSize(false),
    );
    this.eosTokenId = config.eosToken === undefined ? undefined : this.tokenToId(config.eosToken);
    this.padTokenId = config.padToken === undefined ? undefined : this.tokenToId(config.padToken);
  }

  async encode(
    text: string,
    { addSpecial = false }: { readonly addSpecial?: boolean } = {},
  ): Promise<number[]> {
    const encoding = await this.#library.encode(text, null, { addSpecialTokens: addSpecial });
    const ids = encoding.getIds();
    return this.#ids.toFile.size === 0 ? ids : ids.map((id) => this.#ids.toFile.get(id) ?? id);
  }

  decode(ids: Iterable<number>, { skipSpecial = true }: DecodeOptions = {}): string {
    const tokens: string[] = [];
    for (const id of ids) {
      if (skipSpecial && this.specialIds.has(id)) continue;
      const token = this.idToToken(id);
      if (token !== undefined) tokens.push(token);
    }
    const decoder = this.#library.getDecoder();
    // The library's own rule for a tokenizer without a decoder.
    return decoder === null ? tokens.join(" ") : decoder.decode(tokens);
  }

  idToToken(id: number): string | undefined {
    if (!Number.isInteger(id) || id < 0 || id >= this.idLimit) return undefined;
    const translated = this.#ids.toLibrary.get(id);
    // An id that the library gave away to a token which the file numbers elsewhere is unused in the file.
    if (translated === undefined && this.#ids.toFile.has(id)) return undefined;
    return this.#library.idToToken(translated ?? id) ?? undefined;
  }

  tokenToId(token: string): number | undefined {
    const id = this.#library.tokenToId(token);
    return id === null ? undefined : (this.#ids.toFile.get(id) ?? id);
  }

  bytesOf(id: number): Uint8Array | undefined {
    const token = this.byteLevel ? this.idToToken(id) : undefined;
    return token === undefined ? undefined : bytesOfToken(token);
  }
}
