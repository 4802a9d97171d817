/** Generation: streaming, limits, stops, seeds, aborts, reuse, broken weights. */

import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { orThrow } from "@weft/dsl";
import {
  type GeneratedToken,
  type GenerateOptions,
  generate,
  type Qwen3,
  writeSafetensors,
} from "@weft/qwen3";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { addTokenizer, type CheckpointShape, writeCheckpoint } from "../../support/checkpoints.ts";
import fc from "../../support/fast-check.ts";
import { openInterpreted, openOn } from "../../support/models.ts";
import { inDirectory, rejectsWith } from "./support.ts";

/** Small, with the vocabulary of the fixtures' tokenizer: 256 bytes, some merges, three special tokens. */
const shape: CheckpointShape = {
  hidden: 16,
  layers: 1,
  heads: 2,
  kvHeads: 1,
  headDim: 8,
  intermediate: 24,
  vocab: 320,
  eos: [319],
  scale: 0.3,
};
const prompt = [72, 101, 108, 108, 111];

const test = suite<{ model: Qwen3; directory: string; leave: () => void }>("generate");

test.before(async (context) => {
  let entered = () => {};
  const opened = new Promise<void>((resolve) => {
    entered = resolve;
  });
  void inDirectory(async (directory) => {
    writeCheckpoint(directory, shape);
    addTokenizer(directory);
    context.directory = directory;
    context.model = await openOn("cpu", directory, { capacity: 64, chunk: 8 });
    const left = new Promise<void>((resolve) => {
      context.leave = resolve;
    });
    entered();
    await left;
    context.model[Symbol.dispose]();
  });
  await opened;
});
test.after(({ leave }) => leave());

async function read(model: Qwen3, options: GenerateOptions, given: string | readonly number[] = prompt) {
  const generation = generate(model, given, options);
  const pieces: GeneratedToken[] = [];
  for await (const piece of generation) pieces.push(piece);
  return { pieces, summary: generation.summary! };
}

test("pieces and summary say the same, and the last piece has the reason", async ({ model }) => {
  const { pieces, summary } = await read(model, { maxTokens: 10, temperature: 1, seed: 5, ignoreEos: true });
  assert.equal(
    pieces.map(({ token }) => token),
    summary.tokens,
  );
  assert.is(pieces.map(({ text }) => text).join(""), summary.text);
  assert.is(summary.tokens.length, 10);
  assert.is(summary.finish, "length");
  assert.equal(
    pieces.map(({ finish }) => finish),
    [...Array(9).fill(undefined), "length"],
  );
  assert.equal(
    pieces.map(({ position }) => position),
    Array.from({ length: 10 }, (_, index) => prompt.length + index),
  );
  assert.is(summary.text, model.tokenizer().decode(summary.tokens));
  assert.is(summary.prefilled, prompt.length);
  assert.is(summary.reused, 0);
  assert.ok(summary.timing.firstTokenMilliseconds > 0);
  assert.ok(summary.timing.prefillTokensPerSecond! > 0 && summary.timing.decodeTokensPerSecond! > 0);
});

test("no piece splits a character, whatever the bytes", async ({ model }) => {
  await fc.assert(
    fc.asyncProperty(fc.nat(1000), async (seed) => {
      // Random weights speak random bytes: most of them are no UTF-8.
      const { pieces, summary } = await read(model, { maxTokens: 12, temperature: 2, seed, ignoreEos: true });
      assert.is(pieces.map(({ text }) => text).join(""), model.tokenizer().decode(summary.tokens));
      for (const { text } of pieces) assert.not.match(text, /\p{Surrogate}/u);
    }),
    { numRuns: 20 },
  );
});

test("the same seed gives the same text, for any number of threads; another seed another", async ({
  model,
  directory,
}) => {
  const options = { maxTokens: 24, temperature: 1.2, topP: 0.95, seed: 11, ignoreEos: true };
  const first = (await read(model, options)).summary;
  assert.equal((await read(model, options)).summary.tokens, first.tokens);
  assert.not.equal((await read(model, { ...options, seed: 12 })).summary.tokens, first.tokens);
  for (const threads of [1, 3, 40]) {
    using other = await openOn("cpu", directory, { capacity: 64, chunk: 8, threads });
    assert.equal((await read(other, options)).summary.tokens, first.tokens, `${threads} threads`);
  }
});

test("a text can be taken up in the middle: the random numbers belong to positions", async ({ model }) => {
  const options = { temperature: 1, seed: 3, ignoreEos: true };
  const whole = (await read(model, { ...options, maxTokens: 12 })).summary.tokens;
  const rest = (await read(model, { ...options, maxTokens: 7 }, [...prompt, ...whole.slice(0, 5)])).summary;
  assert.equal(rest.tokens, whole.slice(5));
});

test("a stop token ends the text and is no part of it", async ({ model }) => {
  const options = { temperature: 1, seed: 1, maxTokens: 40 };
  const free = (await read(model, { ...options, ignoreEos: true })).summary.tokens;
  const stop = free[6]!;
  const { summary, pieces } = await read(model, { ...options, stopTokenIds: [stop] });
  const at = free.indexOf(stop);
  assert.is(summary.finish, "stop-token");
  assert.equal(summary.tokens, free.slice(0, at + 1));
  assert.is(pieces.at(-1)!.finish, "stop-token");
  assert.is(summary.text, model.tokenizer().decode(free.slice(0, at)));
  assert.equal(model.stopTokenIds, [319]);
});

test("a stop string ends the text before it, wherever tokens end", async ({ model }) => {
  const options = { temperature: 1, seed: 8, maxTokens: 30, ignoreEos: true };
  const { text } = (await read(model, options)).summary;
  const points = [...text];
  const stop = points.slice(5, 8).join("");
  const { summary, pieces } = await read(model, { ...options, stop: ["never said", stop] });
  assert.is(summary.finish, "stop-string");
  assert.is(summary.stopString, stop);
  assert.is(summary.text, text.slice(0, text.indexOf(stop)));
  assert.is(pieces.at(-1)!.finish, "stop-string");
  // Text that was held back as a possible stop comes out at the end.
  const last = points.at(-1)!;
  const held = (await read(model, { ...options, stop: [`${last}never said`] })).summary;
  assert.is(held.text, text);
});

test("a full context ends the text, or lets go of its beginning", async ({ model }) => {
  const full = (await read(model, { temperature: 0, ignoreEos: true })).summary;
  assert.is(full.finish, "capacity");
  // The last token needs no room: nothing comes after it.
  assert.is(prompt.length + full.tokens.length, model.capacity + 1);
  const context = model.createContext();
  const clipped = await read(model, {
    temperature: 0,
    ignoreEos: true,
    maxTokens: 150,
    clip: "drop-oldest",
    context,
  });
  assert.is(clipped.summary.finish, "length");
  assert.equal(clipped.summary.tokens.slice(0, full.tokens.length), full.tokens);
  assert.is(clipped.summary.dropped % 16, 0, "a quarter of the capacity at once");
  assert.is(context.dropped, clipped.summary.dropped);
  assert.is(context.dropped + context.length, prompt.length + 149);
  assert.is(clipped.pieces.at(-1)!.position, prompt.length + 149);
  assert.equal(context.tokens, [...prompt, ...clipped.summary.tokens].slice(context.dropped, -1));
});

test("a prompt longer than the capacity is refused, or its end is taken", async ({ model }) => {
  const long = Array.from({ length: 100 }, (_, index) => index);
  await rejectsWith(
    () => read(model, {}, long),
    "capacity of 64 tokens",
    "100 tokens",
    "larger capacity",
    "drop-oldest",
  );
  const { summary } = await read(model, { clip: "drop-oldest", maxTokens: 2, ignoreEos: true }, long);
  assert.is(summary.dropped, 48);
  assert.is(summary.prefilled, 52);
});

test("a given context is reused as far as it agrees", async ({ model }) => {
  const context = model.createContext();
  const first = (await read(model, { context, maxTokens: 4, temperature: 0, ignoreEos: true })).summary;
  assert.is(context.length, prompt.length + 3);
  const again = [...prompt, ...first.tokens];
  const second = (await read(model, { context, maxTokens: 2, temperature: 0, ignoreEos: true }, again))
    .summary;
  assert.is(second.reused, prompt.length + 3);
  assert.is(second.prefilled, 1);
  // All of it is cached: the last token is run again for its logits.
  const third = (await read(model, { context, maxTokens: 1, temperature: 0, ignoreEos: true }, again))
    .summary;
  assert.is(third.prefilled, 1);
  assert.is(third.tokens[0], second.tokens[0]);
  const other = (await read(model, { context, maxTokens: 1, ignoreEos: true }, [...prompt.slice(0, 2), 7, 7]))
    .summary;
  assert.equal([other.reused, other.prefilled], [2, 2]);
});

test("an abort ends the text without an error: in the middle, in the prefill, before the start", async ({
  model,
}) => {
  const controller = new AbortController();
  const generation = generate(model, prompt, { signal: controller.signal, ignoreEos: true });
  let count = 0;
  for await (const _ of generation) if (++count === 3) controller.abort();
  assert.is(generation.summary!.finish, "abort");
  assert.is(generation.summary!.tokens.length, 3);

  const during = new AbortController();
  const context = model.createContext();
  const long = Array.from({ length: 40 }, (_, index) => index);
  const prefilling = await generate(model, long, {
    context,
    signal: during.signal,
    onPrefill: (done) => done >= 16 && during.abort(),
  }).finish();
  assert.equal([prefilling.finish, prefilling.tokens.length, prefilling.text], ["abort", 0, ""]);
  assert.equal(context.tokens, long.slice(0, 16));

  const before = await generate(model, prompt, { signal: AbortSignal.abort() }).finish();
  assert.is(before.finish, "abort");
});

test("a reader that goes away ends the text; nothing runs ahead of a slow one", async ({ directory }) => {
  let runs = 0;
  using model = await openInterpreted(directory, { capacity: 64, chunk: 8 }, { onRun: () => void runs++ });
  const generation = generate(model, prompt, { ignoreEos: true, text: false });
  await setTimeout(5);
  assert.is(runs, 0);
  for await (const _ of generation) {
    await setTimeout(5);
    if (runs === 3) break;
  }
  assert.is(runs, 3);
  assert.is(generation.summary!.finish, "abort");
  assert.is(generation.summary!.tokens.length, 3);
});

test("log probabilities are those of the softmax", async ({ model }) => {
  const { pieces } = await read(model, { maxTokens: 3, temperature: 0, logprobs: true, ignoreEos: true });
  using context = model.createContext();
  let logits = await context.append(prompt);
  for (const { token, logprob } of pieces) {
    const values = Array.from(logits);
    const expected = logits[token]! - Math.log(values.reduce((sum, value) => sum + Math.exp(value), 0));
    assert.ok(Math.abs(logprob! - expected) < 1e-9);
    logits = await context.append([token]);
  }
});

test("the checkpoint's own sampling options hold unless others are given", async ({ model }) => {
  // Without generation_config.json: greedy.
  const greedy = (await read(model, { maxTokens: 8, ignoreEos: true })).summary.tokens;
  assert.equal((await read(model, { maxTokens: 8, ignoreEos: true, seed: 9 })).summary.tokens, greedy);
  const hot = (await read(model, { maxTokens: 8, ignoreEos: true, seed: 9, temperature: 2 })).summary.tokens;
  assert.not.equal(hot, greedy);
  const penalised = (await read(model, { maxTokens: 30, ignoreEos: true, repetitionPenalty: 1e6 })).summary
    .tokens;
  assert.is(new Set(penalised).size, 30, "nothing is said twice");
});

test("options that make no sense are refused together", async ({ model }) => {
  const message = await rejectsWith(
    () =>
      read(model, { temperature: Number.NaN, topP: 2, maxTokens: 0, stop: [""], clip: "newest" as never }),
    "temperature must be",
    "topP must be",
    "number of new tokens",
    "stop string must not be empty",
    'clip must be "error" or "drop-oldest"',
  );
  assert.is(message.split("\n").length, 5);
  await rejectsWith(() => read(model, { text: false, stop: ["x"] }), "stop strings need text");
  await rejectsWith(() => read(model, {}, []), "[prompt]", "at least one token");
  await rejectsWith(() => read(model, {}, ""), "[prompt]", "at least one token");
  await rejectsWith(() => read(model, {}, [1, 320, -1]), "320 at position 1", "-1 at position 2");
});

test("weights that are not finite are named, when they are met", async () => {
  await inDirectory(async (directory) => {
    const tensors = writeCheckpoint(directory, shape);
    const broken = "model.layers.0.mlp.down_proj.weight";
    (tensors.find(({ name }) => name === broken)!.data as Float32Array)[7] = Number.NaN;
    orThrow(writeSafetensors(join(directory, "model.safetensors"), tensors));
    using model = await openOn("cpu", directory, { checkWeights: false });
    await rejectsWith(() => read(model, { text: false }), broken, "NaN at flat index 7", "model.safetensors");
    await rejectsWith(() => openOn("cpu", directory, { checkWeights: true }), broken);
  });
});

test("where the device picks the likeliest tokens out, they give the text that the logits give", async ({
  directory,
}) => {
  using model = await openOn("cuda-sim", directory, { capacity: 64, chunk: 8 });
  assert.equal(
    model.plan.programs.map(({ outputs }) => outputs.map(({ name }) => name)),
    [
      ["logits", "candidates", "drawn"],
      ["logits", "candidates", "drawn"],
    ],
  );
  const found = new Set<string>();
  const ways: readonly GenerateOptions[] = [
    { temperature: 0 },
    { temperature: 0.9, topK: 20, seed: 3 },
    { temperature: 0.9, topK: 20, topP: 0.8, minP: 0.02, seed: 4 },
    // More than there are, and a penalty: all logits are looked at.
    { temperature: 0.9, topK: 40, seed: 5 },
    { temperature: 0.9, topK: 20, repetitionPenalty: 1.3, seed: 6 },
  ];
  for (const options of ways) {
    const texts: number[][] = [];
    // Probabilities of the tokens need all logits.
    for (const logprobs of [false, true]) {
      const { tokens } = await generate(model, prompt, { ...options, logprobs, maxTokens: 12 }).finish();
      texts.push([...tokens]);
    }
    assert.equal(texts[0], texts[1], JSON.stringify(options));
    found.add(texts[0]!.join());
  }
  assert.is(found.size, ways.length);
});

test.run();
