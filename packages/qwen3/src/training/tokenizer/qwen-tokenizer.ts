/** tokenizer.json and tokenizer_config.json in the form of Qwen's models: how text is cut, and which tokens are special. */

/** Qwen's added tokens that its text models use; ids follow the vocabulary in this order. */
export const addedTokens: readonly { readonly content: string; readonly special: boolean }[] = [
  { content: "<|endoftext|>", special: true },
  { content: "<|im_start|>", special: true },
  { content: "<|im_end|>", special: true },
  { content: "<tool_call>", special: false },
  { content: "</tool_call>", special: false },
  { content: "<tool_response>", special: false },
  { content: "</tool_response>", special: false },
  { content: "<think>", special: false },
  { content: "</think>", special: false },
];

/** Contractions, words, single digits, punctuation, breaks, spaces: the pattern of Qwen's tokenizer.json. */
const pattern =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/** One character for each byte, in the order of the characters, as the library numbers them. */
const alphabet: readonly string[] = (() => {
  const printable = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
  const own = Array.from({ length: 256 }, (_, byte) => byte).filter(printable);
  const codes = [...own, ...Array.from({ length: 256 - own.length }, (_, index) => 256 + index)];
  return codes.map((code) => String.fromCharCode(code));
})();

type Merge = readonly [left: string, right: string];

/** A tokenizer without a vocabulary, for the library to learn with. */
export const untrainedText = (): string => JSON.stringify(tokenizer({}, [], []));

/** The trained one: bytes, then a token for each merge in its order, then the added tokens. */
export function tokenizerText(merges: readonly Merge[]): string {
  const vocab: Record<string, number> = Object.create(null);
  let next = 0;
  for (const token of [...alphabet, ...merges.map((pair) => pair.join(""))]) vocab[token] ??= next++;
  return `${JSON.stringify(tokenizer(vocab, merges, addedTokensFrom(next)), undefined, 1)}\n`;
}

export function tokenizerConfigText(vocabulary: number, chatTemplate: string, maxLength: number): string {
  const added = addedTokensFrom(vocabulary).map(({ id, ...token }) => [String(id), token] as const);
  const config = {
    add_prefix_space: false,
    added_tokens_decoder: Object.fromEntries(added),
    bos_token: null,
    chat_template: chatTemplate,
    clean_up_tokenization_spaces: false,
    eos_token: "<|im_end|>",
    model_max_length: maxLength,
    pad_token: "<|endoftext|>",
    split_special_tokens: false,
    tokenizer_class: "Qwen2Tokenizer",
    unk_token: null,
  };
  return `${JSON.stringify(config, undefined, 2)}\n`;
}

const addedTokensFrom = (first: number) =>
  addedTokens.map(({ content, special }, index) => ({
    id: first + index,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special,
  }));

function tokenizer(
  vocab: Readonly<Record<string, number>>,
  merges: readonly Merge[],
  added: ReturnType<typeof addedTokensFrom>,
): object {
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false };
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: { type: "NFC" },
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false },
        byteLevel,
      ],
    },
    post_processor: byteLevel,
    decoder: byteLevel,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: "",
      end_of_word_suffix: "",
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab,
      merges: merges.map((pair) => pair.join(" ")),
    },
  };
}
