/** Tokenizers learnt from text. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { chatTemplateOf, openTokenizer, trainTokenizer } from "@weft/qwen3";
import fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { inDirectory, right } from "../weights/files.ts";
import { prepared, sentences } from "./support.ts";

const test = suite("tokenizer training");

const texts = Array.from(
  { length: 400 },
  (_, n) => `What is ${n % 20} plus ${n % 7}? It is ${(n % 20) + (n % 7)}.\n\nGrüße, 世界!`,
);

/** Byte pair encoding in its textbook form: count all pairs, join the most frequent one, of equal ones the oldest. */
function textbookMerges(
  words: ReadonlyMap<string, number>,
  alphabet: readonly string[],
  most: number,
): string[] {
  const ids = new Map(alphabet.map((token, id) => [token, id]));
  let split = [...words].map(([word, count]) => ({ tokens: [...word], count }));
  const merges: string[] = [];
  while (merges.length < most) {
    const counts = new Map<string, number>();
    for (const { tokens, count } of split) {
      for (let at = 0; at + 1 < tokens.length; at++) {
        const pair = `${tokens[at]} ${tokens[at + 1]}`;
        counts.set(pair, (counts.get(pair) ?? 0) + count);
      }
    }
    const order = (pair: string) => pair.split(" ").map((token) => ids.get(token)!);
    const best = [...counts].sort(
      ([a, m], [b, n]) => n - m || order(a)[0]! - order(b)[0]! || order(a)[1]! - order(b)[1]!,
    )[0];
    if (best === undefined) break;
    const [left, right_] = best[0].split(" ") as [string, string];
    merges.push(best[0]);
    if (!ids.has(left + right_)) ids.set(left + right_, ids.size);
    split = split.map(({ tokens, count }) => {
      const joined: string[] = [];
      for (let at = 0; at < tokens.length; at++) {
        if (tokens[at] === left && tokens[at + 1] === right_) {
          joined.push(left + right_);
          at++;
        } else joined.push(tokens[at]!);
      }
      return { tokens: joined, count };
    });
  }
  return merges;
}

test("it opens, knows Qwen's special tokens and template, and gives any text back", () =>
  inDirectory(async (folder) => {
    const directory = join(folder, "tokenizer");
    const trained = right(await trainTokenizer({ texts, vocabSize: 285, directory }));
    assert.equal(trained, { directory, vocabSize: 285, merges: 20 });
    const tokenizer = right(openTokenizer(directory));
    assert.is(tokenizer.idLimit, 285);
    assert.is(tokenizer.byteLevel, true);
    assert.is(tokenizer.tokenToId("<|endoftext|>"), 276);
    assert.equal([tokenizer.padTokenId, tokenizer.eosTokenId], [276, 278]);
    assert.equal([...tokenizer.specialIds], [276, 277, 278]);
    const sample = texts[13]!;
    assert.ok((await tokenizer.encode(sample)).length < 0.6 * Buffer.byteLength(sample));
    const whole = fc.string({ unit: "grapheme", maxLength: 40 }).map((text) => text.normalize("NFC"));
    await fc.assert(
      fc.asyncProperty(whole, async (text) => {
        assert.is(tokenizer.decode(await tokenizer.encode(text), { skipSpecial: false }), text);
      }),
      { numRuns: 200 },
    );
    const template = right(chatTemplateOf(tokenizer.config));
    const rendered = right(template.render([{ role: "user", content: "What is 1 plus 1?" }]));
    const ids = await tokenizer.encode(rendered);
    assert.is(ids[0], tokenizer.tokenToId("<|im_start|>"));
    assert.is(
      tokenizer.decode(ids, { skipSpecial: false }),
      "<|im_start|>user\nWhat is 1 plus 1?<|im_end|>\n<|im_start|>assistant\n",
    );
  }));

test("Qwen's pattern does not reach across the places where a long text is cut", () =>
  inDirectory(async (folder) => {
    right(await trainTokenizer({ texts, vocabSize: 285, directory: folder }));
    const tokenizer = right(openTokenizer(folder));
    const ends = ["", " ", ".", "!\r", "  "];
    const text = Array.from(
      { length: 15_000 },
      (_, n) => `${n % 7 === 0 ? "\t" : ""}line ${n}${ends[n % 5]}`,
    ).join("\n");
    const { tokens } = right(await prepared(folder, "a.txt", text, { tokenizer }));
    assert.equal(
      [...tokens.read(0, tokens.tokens - 1).tokens],
      await tokenizer.encode(text.replaceAll("\r\n", "\n")),
    );
  }));

test("its merges are those of the textbook, for every size of vocabulary", () =>
  inDirectory(async (folder) => {
    const sizes = [265, 270, 290, 320];
    const found: string[][] = [];
    for (const vocabSize of sizes) {
      const directory = join(folder, String(vocabSize));
      right(await trainTokenizer({ texts: ["abab abc bcab aab cab cabab abcc"], vocabSize, directory }));
      found.push(JSON.parse(readFileSync(join(directory, "tokenizer.json"), "utf8")).model.merges);
    }
    const words = new Map<string, number>();
    for (const word of ["abab", "Ġabc", "Ġbcab", "Ġaab", "Ġcab", "Ġcabab", "Ġabcc"]) words.set(word, 1);
    const expected = textbookMerges(words, ["a", "b", "c", "Ġ"], 1000);
    for (const [index, size] of sizes.entries())
      assert.equal(found[index], expected.slice(0, size - 265), String(size));
  }));

test("special tokens in the text teach nothing; a small text gives a small vocabulary", () =>
  inDirectory(async (folder) => {
    const directory = join(folder, "a");
    const trained = right(
      await trainTokenizer({ texts: ["ab<|im_start|>ab<think>", "ab"], vocabSize: 1000, directory }),
    );
    assert.equal(trained, { directory, vocabSize: 266, merges: 1 });
  }));

test("a vocabulary of nonsense, no text, and a disk that refuses are told", () =>
  inDirectory(async (folder) => {
    const directory = join(folder, "a");
    const refused = async (changes: object) =>
      sentences(await trainTokenizer({ texts, vocabSize: 300, directory, ...changes }), folder)[0]!;
    assert.is(
      await refused({ vocabSize: 264 }),
      "[vocabSize] must be an integer of at least 265, all bytes and Qwen's special tokens; given 264; choose a larger vocabulary",
    );
    assert.is(
      await refused({ vocabSize: 151_669 }),
      "unsupported: [vocabSize] must be at most 30000; given 151669; choose a smaller vocabulary, or use the tokenizer of a released model",
    );
    assert.is(
      await refused({ texts: [" ", "<|im_end|>"] }),
      "[texts] must hold text to learn from; given none; give some text",
    );
    assert.not(existsSync(directory));
    writeFileSync(directory, "");
    assert.match(await refused({}), /^\[a\] must be writable; given EEXIST/);
  }));

test.run();
