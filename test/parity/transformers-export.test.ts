/** The stored reading of exports by Hugging Face transformers: it agrees, and it is of what we export now. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { openTokenizer } from "@weft/qwen3";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { inDirectory, right } from "../qwen3/weights/files.ts";
import { exportNames, makeExport, textFiles, texts } from "./export.ts";

const test = suite("exports in transformers");

interface Reading {
  /** SHA-256 of each file that does not hold weights. */
  readonly files: Readonly<Record<string, string>>;
  readonly missing: readonly string[];
  readonly unexpected: readonly string[];
  readonly texts: readonly { readonly text: string; readonly ids: readonly number[] }[];
  readonly textsEqual: boolean;
  readonly chatsEqual: boolean;
  readonly endToken: readonly [tokenizer: number, config: number];
  readonly logits: number;
  readonly greedyEqual: boolean;
}

interface Stored {
  readonly versions: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, Reading>>;
}

const tolerance = 1e-4;
const again = "run test/parity/export.ts and export_with_transformers.py --write again";
const stored = JSON.parse(
  readFileSync(join(import.meta.dirname, "transformers-export.json"), "utf8"),
) as Stored;

test("every export was read, with known versions", () => {
  assert.equal(Object.keys(stored.exports), [...exportNames]);
  for (const name of ["python", "torch", "transformers"]) assert.match(stored.versions[name]!, /^\d+\.\d+/);
});

for (const name of exportNames) {
  const reading = stored.exports[name]!;

  test(`${name}: all tensors are there, and texts, chats, logits and the greedy continuation are ours`, () => {
    assert.equal(reading.missing, []);
    assert.equal(reading.unexpected, []);
    assert.ok(reading.logits <= tolerance, `logits differ by ${reading.logits}`);
    assert.ok(reading.textsEqual && reading.chatsEqual && reading.greedyEqual);
    assert.is(reading.endToken[0], reading.endToken[1]);
  });

  test(`${name}: what was read is what is exported now, and its texts have those tokens`, () =>
    inDirectory(async (folder) => {
      const directory = await makeExport(name, folder);
      for (const file of textFiles) {
        const hash = createHash("sha256")
          .update(readFileSync(join(directory, file)))
          .digest("hex");
        assert.is(hash, reading.files[file], `${file} has changed: ${again}`);
      }
      const tokenizer = right(openTokenizer(directory));
      assert.equal(
        reading.texts.map(({ text }) => text),
        texts,
        again,
      );
      for (const { text, ids } of reading.texts) assert.equal([...(await tokenizer.encode(text))], ids);
    }));
}

test.run();
