/** Generation and conversations on the states of a training plan: the exported model's texts, whatever trains in between. */
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import type { Compiled } from "@weft/compiler";
import { orThrow } from "@weft/dsl";
import {
  batchOf,
  bfloat16ToFloat32,
  compileTrainingModel,
  exportHuggingFace,
  filesBeside,
  float32ToBfloat16,
  generate,
  type LanguageModel,
  openQwen3,
  openTrainingModel,
  readCheckpointWeights,
  Session,
  TrainableModel,
  type TrainingModel,
  type TrainingOptions,
} from "@weft/qwen3";
import type { Device } from "@weft/runtime";
import { cpuDevice } from "@weft/runtime-cpu";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { addTokenizer } from "../../support/checkpoints.ts";
import { largestDifference } from "../../support/largest-difference.ts";
import { devicesHere, fixtures, openDevice } from "../../support/models.ts";
import { inDirectory, rejectsWith } from "../inference/support.ts";

const test = suite("generation under training");
const tiny = orThrow(readCheckpointWeights(join(fixtures, "tiny")));
const weightOf = (name: string) => tiny.weights[name];
const generation = { capacity: 256, chunk: 8, logits: "last" } as const;

const plans = new Map<string, Compiled>();

/** The same plan is compiled once for all tests. */
function open(device: Device, more: Partial<typeof generation> & { readonly candidates?: number } = {}) {
  const options = {
    sequence: 16,
    programs: ["train"],
    generation: { ...generation, ...more },
  } as const satisfies TrainingOptions;
  const key = JSON.stringify(options);
  const compiled = plans.get(key) ?? compileTrainingModel(tiny.config, weightOf, options);
  plans.set(key, compiled);
  return openTrainingModel(tiny.config, tiny.weights, device, options, compiled);
}

/** Updates after which every text is another one. */
async function learn(model: TrainingModel, steps: number): Promise<void> {
  const batch = batchOf([{ tokens: [5, 170, 33, 244, 121, 8, 260, 42, 133, 12, 7, 19] }]);
  for (let step = 0; step < steps; step++) {
    const { skipped } = await model.step(batch, { learningRate: 0.003 });
    assert.not(skipped);
  }
}

const prompt = [11, 60, 200, 3, 17, 90, 41, 7, 151, 5, 66];
const greedy = { temperature: 0, maxTokens: 10, ignoreEos: true, text: false } as const;

async function tokensOf(model: LanguageModel, given: readonly number[] = prompt): Promise<number[]> {
  const tokens: number[] = [];
  for await (const { token } of generate(model, given, greedy)) tokens.push(token);
  return tokens;
}

/** The model in a directory, as it is now. */
async function exported(model: TrainingModel, beside: string, directory: string): Promise<string> {
  const trainable = new TrainableModel(model, weightOf);
  return orThrow(await exportHuggingFace({ directory, model: trainable, copy: filesBeside(beside) }));
}

/** Tokenizer, template and configuration. */
function textsIn(directory: string): void {
  addTokenizer(directory);
  copyFileSync(join(fixtures, "tiny/config.json"), join(directory, "config.json"));
}

for (const where of await devicesHere()) {
  test(`${where}: between updates, greedy texts are those of the exported and reloaded model`, () =>
    inDirectory(async (folder) => {
      textsIn(folder);
      using device = await openDevice(where);
      const candidates = where === "cpu" ? 0 : 32;
      using model = await open(device, candidates === 0 ? {} : { candidates });
      const texts: string[] = [];
      for (const steps of [0, 2, 1]) {
        await learn(model, steps);
        const directory = await exported(model, folder, join(folder, `after-${texts.length}`));
        const options = { device, dtype: "f32", capacity: 256, chunk: 8, planCache: false } as const;
        using reloaded = await openQwen3(directory, options);
        const expected = await tokensOf(reloaded);
        assert.equal(await tokensOf(model.generator(folder)), expected);
        texts.push(expected.join(" "));
      }
      assert.is(new Set(texts).size, 3, "every update makes another text");
    }));

  test(`${where}: contexts that take turns and drop their oldest tokens leave the weights as they are`, async () => {
    using device = await openDevice(where);
    using model = await open(device);
    const generator = model.generator(join(fixtures, "tiny"));
    await learn(model, 1);
    const names = ["model.embed_tokens.weight", "model.norm.weight", "optimizer.firstMoment.lm_head.weight"];
    const values = () => Promise.all(names.map((name) => model.executable.readState(name)));
    const before = await values();
    using one = generator.createContext();
    using other = generator.createContext();
    using alone = generator.createContext();
    await one.append(prompt);
    await other.append([1, 2, 3]);
    await one.dropOldest(4);
    const logits = (await one.append([9])).slice();
    await other.append([4]);
    assert.equal(await values(), before);
    await alone.append(prompt);
    await alone.dropOldest(4);
    assert.equal((await alone.append([9])).slice(), logits);
  });
}

test("under bf16, products read a rounding of the master weights: the logits of an export in bf16", () =>
  inDirectory(async (folder) => {
    textsIn(folder);
    using device = cpuDevice({ threads: 2 });
    const options = { sequence: 16, programs: ["train"], policy: "bf16", generation } as const;
    using model = await openTrainingModel(tiny.config, tiny.weights, device, options);
    await learn(model, 2);
    // What no product reads is stored in bf16 by an export, and in f32 by a plan that trains: both shall be the same.
    for (const name of model.trained.filter((one) => /norm|embed/.test(one))) {
      const values = (await model.parameter(name)) as Float32Array;
      await model.writeState(name, bfloat16ToFloat32(float32ToBfloat16(values)));
    }
    const trainable = new TrainableModel(model, weightOf);
    const directory = orThrow(
      await exportHuggingFace({
        directory: join(folder, "model"),
        model: trainable,
        copy: filesBeside(folder),
        dtype: "bf16",
      }),
    );
    using reloaded = await openQwen3(directory, {
      device,
      dtype: "bf16",
      capacity: 256,
      chunk: 8,
      planCache: false,
    });
    const logits = await Promise.all(
      [model.generator(folder), reloaded].map(async (one) =>
        (await one.createContext().append(prompt)).slice(),
      ),
    );
    assert.ok(largestDifference([logits[0]!], [logits[1]!]) < 1e-5);
  }));

test("only the cache holds positions, and there is one copy of the weights", async () => {
  using device = cpuDevice({ threads: 1 });
  using model = await open(device);
  const { buffers } = model.executable.plan;
  assert.not(buffers.some((one) => one.class === "weights"));
  const cached = buffers.filter(({ positions }) => positions >= 0);
  assert.is(cached.length, 2 * tiny.config.layers);
  assert.ok(cached.every((one) => one.class === "state" && /\.cache\.(key|value)$/.test(one.name)));
  assert.ok(cached.every(({ shape, positions }) => shape[positions] === generation.capacity));
  const bytes = cached.reduce((sum, one) => sum + one.bytes, 0);
  assert.is((await model.executable.saveState()).length, bytes);
});

test("a conversation goes on behind an update: its rows are computed again, once", () =>
  inDirectory(async (folder) => {
    textsIn(folder);
    using device = cpuDevice({ threads: 2 });
    using model = await open(device);
    const generator = model.generator(folder);
    const options = { temperature: 0, maxTokens: 4, ignoreEos: true } as const;
    using session = new Session(generator, options);
    await session.send("one").finish();
    const { report: cached } = await session.send("two").finish();
    assert.ok(cached.reused > 10, `${cached.reused} reused`);
    await learn(model, 2);
    assert.ok(session.context.isStale);
    const { report } = await session.send("three").finish();
    assert.is(report.reused, 0);
    assert.is(report.prefilled, report.promptTokens);
    const answer = session.tokens.slice(report.promptTokens, report.promptTokens + 4);
    const anew: number[] = [];
    const prompt = session.tokens.slice(0, report.promptTokens);
    for await (const { token } of generate(generator, prompt, { ...options, text: false })) anew.push(token);
    assert.equal(anew, answer);
    const { report: next } = await session.send("four").finish();
    assert.ok(next.reused > report.promptTokens, "the new weights' rows are kept");
    const file = join(folder, "session");
    await rejectsWith(
      () => session.save(file),
      "a session in a file must be of weights that stay; given a model under training; export the model",
    );
  }));

test("a context of former weights gives what a new one gives, at each token and in chunks", async () => {
  using device = cpuDevice({ threads: 2 });
  using model = await open(device);
  const generator = model.generator(join(fixtures, "tiny"));
  using old = generator.createContext();
  const former = (await old.append(prompt)).slice();
  const saved = await old.save();
  for (const next of [[9], [3, 1, 4, 1, 5, 9, 2, 6, 5]]) {
    await learn(model, 1);
    assert.ok(old.isStale);
    const tokens = [...old.tokens, ...next];
    const logits = (await old.append(next)).slice();
    assert.not(old.isStale);
    using anew = generator.createContext();
    await anew.append(tokens.slice(0, -next.length));
    assert.equal((await anew.append(next)).slice(), logits);
  }
  // Rows that were saved under former weights are theirs still.
  old.restore(saved);
  assert.ok(old.isStale);
  using anew = generator.createContext();
  await anew.append(prompt);
  assert.equal(await old.append([7]), await anew.append([7]));
  assert.not.equal(former, (await anew.append([7])).slice());
});

test("training that goes on beside a text: each token is drawn by the weights of its moment, and both end", async () => {
  using device = cpuDevice({ threads: 2 });
  using model = await open(device);
  const generator = model.generator(join(fixtures, "tiny"));
  using context = generator.createContext();
  const texts = (async () => {
    const tokens: number[] = [];
    for await (const { token } of generate(generator, prompt, { ...greedy, context })) tokens.push(token);
    return tokens;
  })();
  const [tokens] = await Promise.all([texts, learn(model, 6)]);
  assert.is(tokens.length, greedy.maxTokens);
  assert.is(model.updates, 6);
  const logits = (await context.append([1])).slice();
  using anew = generator.createContext();
  await anew.append(context.tokens.slice(0, -1));
  // Some of the rows were computed one by one, in sums of another order.
  assert.ok(largestDifference([await anew.append([1])], [logits]) < 1e-4);
});

test("a plan that does not generate says how to open one that does", async () => {
  using device = cpuDevice({ threads: 1 });
  const options = { sequence: 16, programs: ["loss"] } as const;
  using model = await openTrainingModel(tiny.config, tiny.weights, device, options);
  await rejectsWith(
    async () => model.generator(join(fixtures, "tiny")),
    '[training] the plan must have programs that generate; given loss; open the model with `generation: { capacity, chunk, logits: "last" }`',
  );
});

test.run();
