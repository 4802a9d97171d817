/**
 * The few facts of a tokenizer.json that the library does not tell: the ids the file gives to added tokens, and
 * whether its decoder is byte-level. Read from the small members of the file; parsing the vocabulary a second time
 * would cost a fifth of a second at every start.
 */
import { jsonMembers } from "../config/json-text.ts";

export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
}

export interface TokenizerDescription {
  readonly addedTokens: readonly AddedToken[];
  readonly byteLevel: boolean;
}

/** Throws an `Error` with a plain message where the members do not have the form they must have. */
export function describeTokenizer(text: string): TokenizerDescription {
  let addedTokens: readonly AddedToken[] = [];
  let byteLevel = false;
  const wanted = new Set(["added_tokens", "decoder"]);
  for (const { key, begin, end } of jsonMembers(text)) {
    if (!wanted.delete(key)) continue;
    const value: unknown = JSON.parse(text.slice(begin, end));
    if (key === "added_tokens") addedTokens = parseAddedTokens(value);
    else byteLevel = isByteLevel(value);
    if (wanted.size === 0) break;
  }
  return { addedTokens, byteLevel };
}

function parseAddedTokens(value: unknown): AddedToken[] {
  if (!Array.isArray(value)) throw new Error("added_tokens is no list");
  return value.map((item: unknown, index) => {
    const { id, content, special } = (typeof item === "object" && item !== null ? item : {}) as Record<
      string,
      unknown
    >;
    if (
      typeof id !== "number" ||
      !Number.isInteger(id) ||
      id < 0 ||
      id >= 2 ** 31 ||
      typeof content !== "string"
    ) {
      throw new Error(`added_tokens[${index}] has no id or no content`);
    }
    return { id, content, special: special === true };
  });
}

/** `ByteLevel` by itself or as the only member of a sequence. */
function isByteLevel(decoder: unknown): boolean {
  if (typeof decoder !== "object" || decoder === null) return false;
  const { type, decoders } = decoder as Record<string, unknown>;
  if (type === "ByteLevel") return true;
  return type === "Sequence" && Array.isArray(decoders) && decoders.length === 1 && isByteLevel(decoders[0]);
}
