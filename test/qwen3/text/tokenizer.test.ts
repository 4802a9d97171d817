import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatProblems, type Problems } from "@weft/dsl";
import * as Either from "fp-ts/lib/Either.js";
import { Tokenizer as LibraryTokenizer } from "tokenizers";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  checkTokenIds,
  checkTokenizerFits,
  openTokenizer,
  TextStream,
  type Tokenizer,
} from "../../../packages/qwen3/src/text/index.ts";
import fc from "../../support/fast-check.ts";

const test = suite("qwen3/text: tokenizer and text stream");
const tiny = join(import.meta.dirname, "../../fixtures/tiny");
const right = <A>(result: Either.Either<Problems, A>): A => {
  if (Either.isLeft(result)) throw new Error(formatProblems(result.left));
  return result.right;
};
const left = (result: Either.Either<Problems, unknown>): string => {
  if (Either.isRight(result)) throw new Error("was accepted");
  return formatProblems(result.left);
};
const tokenizer = right(openTokenizer(tiny));
const fixture = JSON.parse(readFileSync(join(tiny, "tokenizer.json"), "utf8")) as {
  added_tokens: Record<string, unknown>[];
  decoder: unknown;
  model: { vocab: Record<string, number> };
};
type File = typeof fixture;

/** A tokenizer with a changed file. */
function changed(change: (file: File) => void): Either.Either<Problems, Tokenizer> {
  const directory = mkdtempSync(join(tmpdir(), "weft-tokenizer-"));
  try {
    const file = structuredClone(fixture);
    change(file);
    writeFileSync(join(directory, "tokenizer.json"), JSON.stringify(file));
    return openTokenizer(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}
const added = (id: number, content: string, special = false) => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special,
});

test("encodes with special tokens parsed, under the ids of the file", async () => {
  assert.equal(await tokenizer.encode("hello<|im_end|>"), [257, 108, 108, 111, 319]);
  assert.equal(await tokenizer.encode(" the é🙂"), [256, 257, 32, 195, 169, 240, 159, 153, 130]);
  assert.equal(await tokenizer.encode(""), []);
  assert.is(tokenizer.idLimit, 320);
  assert.is(tokenizer.eosTokenId, 319);
  assert.is(tokenizer.padTokenId, 317);
  assert.equal([...tokenizer.specialIds], [317, 318, 319]);
  assert.is(tokenizer.tokenToId("<|im_start|>"), 318);
  assert.is(tokenizer.tokenToId("<|nothing|>"), undefined);
  assert.is(tokenizer.idToToken(318), "<|im_start|>");
});

test("unused and impossible ids are no text", () => {
  // The library itself numbers <|im_end|> as 262; in the file that id is unused.
  for (const id of [260, 262, 316, 320, -1, 1.5, 2 ** 40]) {
    assert.is(tokenizer.idToToken(id), undefined, String(id));
    assert.is(tokenizer.bytesOf(id), undefined, String(id));
    assert.is(tokenizer.decode([104, id, 105]), "hi");
  }
});

test("decodes with and without special tokens", () => {
  const ids = [257, 108, 108, 111, 319, 33];
  assert.is(tokenizer.decode(ids), "hello!");
  assert.is(tokenizer.decode(ids, { skipSpecial: false }), "hello<|im_end|>!");
  assert.is(tokenizer.decode([]), "");
});

test("encoding and decoding gives any text back", async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: "grapheme" }), async (text) => {
      assert.is(tokenizer.decode(await tokenizer.encode(text), { skipSpecial: false }), text);
    }),
    { numRuns: 200 },
  );
});

test("decoding equals the library's own, for any bytes", async () => {
  const library = LibraryTokenizer.fromFile(join(tiny, "tokenizer.json"));
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(259)), async (ids) => {
      assert.is(tokenizer.decode(ids), await library.decode(ids, true));
    }),
    { numRuns: 200 },
  );
});

/** Checks everything that a stream promises, and returns its pieces. */
function streamed(subject: Tokenizer, ids: readonly number[], skipSpecial = true): string[] {
  const stream = new TextStream(subject, { skipSpecial });
  const pieces = ids.map((id) => stream.push(id));
  pieces.push(stream.flush());
  assert.is(pieces.join(""), subject.decode(ids, { skipSpecial }));
  for (const piece of pieces) {
    // Neither half of a surrogate pair stands alone.
    assert.not.match(piece, /\p{Surrogate}/u);
  }
  return pieces;
}

test("the stream's pieces make up the decoded text, for any ids", () => {
  const id = fc.oneof(fc.nat(319), fc.integer({ min: 0x80, max: 0xff }));
  fc.assert(
    fc.property(fc.array(id, { maxLength: 40 }), fc.boolean(), (ids, skipSpecial) => {
      streamed(tokenizer, ids, skipSpecial);
    }),
    { numRuns: 500 },
  );
});

test("no piece of valid text holds U+FFFD, and nothing is held back between characters", async () => {
  const samples = [
    "🙂👩‍👩‍👧‍👦🇩🇪",
    "漢字かな交じり文",
    "e\u0301a\u0308 ñ",
    "\ufeffBOM",
    "𝔘nicode — “q”",
    "مرحبا",
    "हिन्दी",
  ];
  const text = fc.oneof(fc.constantFrom(...samples), fc.string({ unit: "grapheme" }));
  await fc.assert(
    fc.asyncProperty(fc.array(text, { maxLength: 4 }), async (parts) => {
      const whole = parts.join("").replaceAll("\ufffd", "");
      const pieces = streamed(tokenizer, await tokenizer.encode(whole), false);
      assert.is(pieces.join(""), whole);
      assert.is(pieces.at(-1), "");
      for (const piece of pieces) assert.not.ok(piece.includes("\ufffd"));
    }),
    { numRuns: 200 },
  );
});

test("a character arrives with its last byte; an incomplete one only at the end", () => {
  assert.equal(streamed(tokenizer, [240, 159, 153, 130, 33]), ["", "", "", "🙂", "!", ""]);
  assert.equal(streamed(tokenizer, [97, 240, 159]), ["a", "", "", "\ufffd"]);
  assert.equal(streamed(tokenizer, [195, 97]), ["", "\ufffda", ""]);
  assert.equal(streamed(tokenizer, [255, 97]), ["\ufffd", "a", ""]);
  // A special token between two halves is left out, and the halves meet.
  assert.equal(streamed(tokenizer, [195, 319, 169]), ["", "", "é", ""]);
});

test("a stream can be used again after flush", () => {
  const stream = new TextStream(tokenizer);
  stream.push(240);
  assert.is(stream.flush(), "\ufffd");
  assert.is(stream.push(97), "a");
  assert.is(stream.flush(), "");
});

test("added tokens outside the byte alphabet, special or not", async () => {
  const more = right(
    changed((file) =>
      file.added_tokens.push(added(300, "<think>"), added(301, "a b"), added(302, "漢", true)),
    ),
  );
  assert.equal(await more.encode("<think>a b漢!"), [300, 301, 302, 33]);
  assert.is(more.decode([300, 301, 302, 33]), "<think>a b!");
  assert.is(more.decode([300, 301, 302, 33], { skipSpecial: false }), "<think>a b漢!");
  assert.equal(streamed(more, [300, 301, 302, 33], false), ["<think>", "a b", "漢", "!", ""]);
});

test("a tokenizer that is not byte-level streams too", () => {
  const fallback = {
    type: "Sequence",
    decoders: [
      { type: "Replace", pattern: { String: "▁" }, content: " " },
      { type: "ByteFallback" },
      { type: "Fuse" },
    ],
  };
  const other = right(
    changed((file) => {
      file.decoder = fallback;
      file.model.vocab["<0xF0>"] = 260;
      file.model.vocab["<0x9F>"] = 261;
      file.model.vocab["<0x99>"] = 262;
      file.model.vocab["<0x82>"] = 263;
      file.model.vocab["▁x"] = 264;
    }),
  );
  assert.is(other.byteLevel, false);
  assert.is(other.bytesOf(104), undefined);
  assert.equal(streamed(other, [104, 260, 261, 262, 263, 264]), ["h", "", "", "", "🙂", " x", ""]);
  assert.is(streamed(other, [104, 260, 261]).at(-1), "\ufffd\ufffd");
});

test("truncation and padding left over in the file do not change a prompt", async () => {
  const cut = right(
    changed((file) =>
      Object.assign(file, {
        truncation: { direction: "Right", max_length: 3, strategy: "LongestFirst", stride: 0 },
        padding: {
          strategy: { Fixed: 8 },
          direction: "Right",
          pad_to_multiple_of: null,
          pad_id: 317,
          pad_type_id: 0,
          pad_token: "<|endoftext|>",
        },
      }),
    ),
  );
  assert.equal(await cut.encode("hello"), [257, 108, 108, 111]);
});

test("absent and broken files name the file", () => {
  const directory = mkdtempSync(join(tmpdir(), "weft-tokenizer-"));
  const file = join(directory, "tokenizer.json");
  try {
    assert.match(
      left(openTokenizer(directory)),
      /tokenizer\.json\] must exist; given no such file; fetch tokenizer\.json/,
    );
    for (const text of [
      "",
      "{",
      "[]",
      "7",
      "{}",
      '{"version":"1.0"}',
      '{"model":{"type":"BPE","vocab":{"a":0},"merges":["a b"]}}',
    ]) {
      writeFileSync(file, text);
      assert.match(
        left(openTokenizer(directory)),
        /tokenizer\.json\] must be a tokenizer as Hugging Face writes it; given ./,
        text,
      );
    }
    writeFileSync(file, JSON.stringify(fixture));
    assert.is(right(openTokenizer(file)).eosTokenId, undefined);
    writeFileSync(join(directory, "tokenizer_config.json"), "{]");
    assert.match(left(openTokenizer(directory)), /tokenizer_config\.json\] must be valid JSON/);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("added tokens that claim ids of others are refused", () => {
  assert.match(
    left(changed((file) => file.added_tokens.push(added(319, "<other>")))),
    /an id of its own; given 319 for "<\|im_end\|>" and "<other>"/,
  );
  assert.match(
    left(changed((file) => file.added_tokens.push(added(5, "<other>")))),
    /must not take the id of another token; given 5 for "<other>"/,
  );
  assert.match(left(changed((file) => file.added_tokens.push({ content: "x" }))), /must be a tokenizer/);
});

test("token ids are checked before they reach a model", () => {
  assert.equal(right(checkTokenIds([0, 319], 320, "--tokens")), [0, 319]);
  assert.is(
    left(checkTokenIds([], 320, "prompt")),
    "[prompt] must hold at least one token; given none; give a prompt that is not empty",
  );
  const lines = left(checkTokenIds([1, 320, -1, 1.5, Number.NaN], 320, "--tokens")).split("\n");
  assert.is(lines.length, 4);
  assert.is(
    lines[0],
    "[--tokens] a token id must be an integer from 0 to 319; given 320 at position 1; use the ids of this model's tokenizer",
  );
  assert.is(left(checkTokenIds(new Array(100).fill(-1), 320, "x")).split("\n").length, 6);
  assert.ok(Either.isRight(checkTokenizerFits(tokenizer, 320)));
  assert.match(
    left(checkTokenizerFits(tokenizer, 319)),
    /tokenizer\.json\] ids must be below vocab_size of config\.json, 319; given ids up to 319/,
  );
});

test.run();
