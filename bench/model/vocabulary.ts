/** A byte-level vocabulary that stands in for the real one: same size, same special tokens, hardly any merges. */

export interface Vocabulary {
  /** By token id. */
  readonly tokens: readonly string[];
  readonly kinds: readonly TokenKind[];
  readonly merges: readonly string[];
  readonly endOfText: number;
  readonly endOfTurn: number;
}

export type TokenKind = "normal" | "special" | "unused";

const qwenVocabularySize = 151936;
const qwenEndOfText = 151643;
/** A few, so that a merge table is not empty. */
const merges = ["Ġ t", "h e", "i n", "r e"];

/** Ids 0 to 255 are the bytes; then the merges; then unused tokens, up to the three special ones. */
export function vocabularyOf(size: number): Vocabulary {
  const tokens = [...byteCharacters(), ...merges.map((merge) => merge.replace(" ", ""))];
  const kinds = tokens.map((): TokenKind => "normal");
  for (let id = tokens.length; id < size; id++) {
    tokens.push(`[PAD${id}]`);
    kinds.push("unused");
  }
  const first = size >= qwenVocabularySize ? qwenEndOfText : size - 3;
  for (const [i, token] of ["<|endoftext|>", "<|im_start|>", "<|im_end|>"].entries()) {
    tokens[first + i] = token;
    kinds[first + i] = "special";
  }
  return { tokens, kinds, merges, endOfText: first, endOfTurn: first + 2 };
}

/** The printable character that byte-level tokenizers write for each byte. */
function byteCharacters(): string[] {
  let moved = 256;
  const printable = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xff && byte !== 0xad);
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : moved++));
}

/** The content of tokenizer.json. */
export function tokenizerJson(vocabulary: Vocabulary): object {
  const ofKind = (kind: TokenKind) =>
    vocabulary.tokens.flatMap((token, id) => (vocabulary.kinds[id] === kind ? [{ token, id }] : []));
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: false };
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: ofKind("special").map(({ token, id }) => ({
      id,
      content: token,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: { ...byteLevel, use_regex: true },
    post_processor: null,
    decoder: { ...byteLevel, use_regex: false },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: "",
      end_of_word_suffix: "",
      fuse_unk: false,
      byte_fallback: false,
      vocab: Object.fromEntries(ofKind("normal").map(({ token, id }) => [token, id])),
      merges: vocabulary.merges,
    },
  };
}
