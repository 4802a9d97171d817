/** Order, packing and place of batches. */
import {
  type BatchOptions,
  batchStream,
  type PreparedData,
  shuffledPlace,
  splitDocuments,
  type TrainingBatch,
} from "@weft/qwen3";
import fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { inDirectory, right } from "../weights/files.ts";
import { prepared, sentences, tokenizer } from "./support.ts";

const test = suite("training batches");

/** One line of so many letters per number: a document of as many tokens and its end token. */
const documentsOf = (folder: string, ...lengths: number[]) =>
  prepared(
    folder,
    "a.txt",
    lengths.map((length, n) => String.fromCharCode(97 + n).repeat(length)).join("\n"),
    {
      textUnit: "line",
    },
  ).then(right);

const all = ({ tokens }: PreparedData) => right(splitDocuments(tokens)).training;

const stream = (data: PreparedData, options: BatchOptions) =>
  right(batchStream(data.tokens, all(data), options));

const letters = (tokens: Int32Array) =>
  [...tokens]
    .map((id) => (id === -1 ? "-" : id === 319 ? "|" : id === 0 ? "." : tokenizer.decode([id])))
    .join("");

const shown = ({ tokens, targets, positions, starts }: TrainingBatch) => [
  letters(tokens),
  letters(targets),
  [...positions].join(""),
  [...starts].join(""),
];

test("documents stand one behind the other, each with positions of its own; padding is a document of its own", () =>
  inDirectory(async (folder) => {
    const batches = stream(await documentsOf(folder, 2, 1, 3), { length: 8 });
    assert.equal(shown(batches.next()), ["aa|b|...", "a|-|----", "01201012", "00033555"]);
    assert.equal(batches.position, { epoch: 0, place: 2, offset: 0 });
    assert.equal(shown(batches.next()), ["ccc|aa|.", "ccx-a|--".replace("x", "|"), "01230120", "00004447"]);
    assert.is(batches.epochs, 1 + 1 / 3);
  }));

test("a long document is refused with its number, or split without losing a target", () =>
  inDirectory(async (folder) => {
    const data = await documentsOf(folder, 5, 1, 9, 7, 8, 6);
    assert.equal(sentences(batchStream(data.tokens, all(data), { length: 8, context: 4 }), folder), [
      "[data] a document must fit into the context, 4 tokens; given document 1 with 6 tokens, document 3 with 10 tokens, document 4 with 8 tokens and 2 more; split long documents, concatenate, or choose a longer context",
    ]);
    const batches = stream(data, { length: 8, context: 4, longDocuments: "split" });
    assert.equal(shown(batches.next()), ["aaaaa|b|", "aaaa|-|-", "01230101", "00004466"]);
  }));

test("concatenated: one text without padding, each window sees itself only, the target crosses its edge", () =>
  inDirectory(async (folder) => {
    const batches = stream(await documentsOf(folder, 2, 1, 3), {
      length: 8,
      context: 4,
      packing: "concatenate",
    });
    assert.equal(shown(batches.next()), ["aa|b|ccc", "a|b|ccc|", "01230123", "00004444"]);
    assert.equal(shown(batches.next()), ["|aa|b|cc", "aa|b|ccc", "01230123", "00004444"]);
    const once = [...batches.once()].map(shown);
    assert.equal(once, [
      ["aa|b|ccc", "a|b|ccc|", "01230123", "00004444"],
      ["|.......", "--------", "00123456", "01111111"],
    ]);
    assert.equal(batches.position, { epoch: 1, place: 2, offset: 2 });
  }));

test("once: every document one time, in order, whatever the place", () =>
  inDirectory(async (folder) => {
    const data = await documentsOf(folder, 2, 1, 3);
    const batches = stream(data, { length: 8 });
    batches.next();
    const before = batches.position;
    assert.equal(
      [...batches.once()].map(({ tokens }) => letters(tokens)),
      ["aa|b|...", "ccc|...."],
    );
    assert.equal(batches.position, before);
  }));

test("from any place the same batches follow", () =>
  inDirectory(async (folder) => {
    const data = await documentsOf(folder, 5, 1, 9, 2, 2, 4);
    for (const packing of ["documents", "concatenate"] as const) {
      const options: BatchOptions = {
        length: 8,
        context: 4,
        packing,
        longDocuments: "split",
        shuffleSeed: 7,
      };
      const straight = stream(data, options);
      const batches = Array.from({ length: 40 }, () => {
        const { position } = straight;
        return { position, batch: straight.next() };
      });
      for (const [at, { position }] of batches.entries()) {
        const resumed = stream(data, options);
        right(resumed.seek(JSON.parse(JSON.stringify(position))));
        for (const { batch } of batches.slice(at, at + 3)) assert.equal(resumed.next(), batch);
      }
    }
  }));

test("places that the data does not have, and sizes of nonsense, are refused", () =>
  inDirectory(async (folder) => {
    const data = await documentsOf(folder, 2);
    const batches = stream(data, { length: 8 });
    for (const position of [
      { epoch: 0, place: 1, offset: 0 },
      { epoch: 0, place: 0, offset: 3 },
      { epoch: -1, place: 0, offset: 0 },
    ]) {
      assert.match(
        sentences(batches.seek(position), folder)[0]!,
        "[data] must have the place that the checkpoint names; given {",
      );
    }
    const refused = (options: BatchOptions) =>
      sentences(batchStream(data.tokens, all(data), options), folder)[0]!;
    assert.is(
      refused({ length: 1 }),
      "[length] must be an integer from 2 to 16777216; given 1; give the tokens of one batch",
    );
    assert.is(
      refused({ length: 8, context: 3 }),
      "[context] must be an integer of at least 2 that divides the length, 8; given 3; change one of the two",
    );
  }));

test("each epoch is a permutation, another one each time, the same in every run", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 300 }), fc.nat(2 ** 40), fc.nat(1000), (size, seed, epoch) => {
      const order = Array.from({ length: size }, (_, place) => shuffledPlace(place, size, seed, epoch));
      assert.is(new Set(order).size, size);
      assert.ok(order.every((one) => one >= 0 && one < size));
    }),
    { numRuns: 50 },
  );
  const order = (seed: number, epoch: number) =>
    Array.from({ length: 12 }, (_, place) => shuffledPlace(place, 12, seed, epoch)).join();
  assert.is(new Set([order(1, 0), order(1, 1), order(2, 0), order(1 + 2 ** 32, 0)]).size, 4);
  // Places of 1000 epochs: each document stands in each place about equally often.
  const counts = new Array<number>(10).fill(0);
  for (let epoch = 0; epoch < 1000; epoch++) counts[shuffledPlace(3, 10, 5, epoch)]!++;
  assert.ok(
    counts.every((count) => count > 60 && count < 140),
    counts.join(),
  );
});

test("held out by content: copies are on the same side, and order does not matter", () =>
  inDirectory(async (folder) => {
    const lines = Array.from({ length: 400 }, (_, n) => `text number ${n % 200}`);
    const sideOf = async (name: string, content: readonly string[]) => {
      const { tokens } = right(await prepared(folder, name, content.join("\n"), { textUnit: "line" }));
      const { training, heldOut } = right(splitDocuments(tokens, { share: 0.2 }));
      assert.is(training.length + heldOut.length, 400);
      return new Set([...heldOut].map((document) => content[document]!));
    };
    const held = await sideOf("a.txt", lines);
    assert.ok(held.size > 20 && held.size < 60, String(held.size));
    const reversed = await sideOf("b.txt", [...lines].reverse());
    assert.equal([...reversed].sort(), [...held].sort());
  }));

test("held out by place: the last ones; no side may be empty", () =>
  inDirectory(async (folder) => {
    const { tokens } = await documentsOf(folder, 1, 2, 3, 4);
    assert.equal([...right(splitDocuments(tokens, { share: 0.25, by: "last" })).heldOut], [3]);
    assert.equal(sentences(splitDocuments(tokens, { share: 0.1, by: "last" }), folder), [
      "[heldOut.share] must leave documents on both sides; given 0.1 of 4 documents, 4 to learn from and 0 held out; choose another share, or cut the text into paragraphs or lines",
    ]);
    assert.equal(sentences(splitDocuments(tokens, { share: 1 }), folder), [
      "[heldOut.share] must be at least 0 and below 1; given 1; hold out 0.05, say",
    ]);
  }));

test.run();
