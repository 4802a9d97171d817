/** Steps that are begun before their tokens are known: which are begun when, and what becomes of those not wanted. */
import { setImmediate } from "node:timers/promises";
import { type ContextCache, generate, openQwen3, type Qwen3 } from "@weft/qwen3";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { addTokenizer, type CheckpointShape, writeCheckpoint } from "../../support/checkpoints.ts";
import { openOn } from "../../support/models.ts";
import { following, type ScriptedDevice, scriptedDevice } from "./scripted-device.ts";
import { inDirectory } from "./support.ts";

const shape: CheckpointShape = {
  hidden: 16,
  layers: 1,
  heads: 2,
  kvHeads: 1,
  headDim: 8,
  intermediate: 24,
  vocab: 37,
};
const test = suite("steps ahead");
const draw = () => Float32Array.of(0, 1, 1, 0, 0);
const ahead = { draw, most: 100 };

const scripted = (
  work: (model: Qwen3, device: ScriptedDevice, context: ContextCache) => Promise<void>,
  capacity = 24,
) =>
  inDirectory(async (directory) => {
    writeCheckpoint(directory, shape);
    const device = scriptedDevice();
    using model = await openQwen3(directory, { device, capacity, chunk: 5 });
    await work(model, device, model.createContext());
  });

const append = (context: ContextCache, token: number, options: { most?: number } = {}) =>
  context.append([token], { output: "candidates", ahead: { ...ahead, ...options } });
/** The token at the top of a step's candidates. */
const top = (candidates: Float32Array) => candidates[1];
const under = ({ runs }: ScriptedDevice) => runs.map(({ tokens, past }) => `${tokens}@${past}`);
const endAll = (device: ScriptedDevice) => {
  while (device.runs.length > 0) device.runs[0]!.end();
};

test("four are under way at once, each with the token of the one before", async () => {
  await scripted(async (_, device, context) => {
    const first = append(context, 7);
    await setImmediate();
    assert.equal(under(device), ["7@0", "-1@1", "-1@2", "-1@3"]);
    device.runs[0]!.end();
    assert.is(top(await first), following(7));
    assert.equal(context.tokens, [7]);
    const second = append(context, following(7));
    await setImmediate();
    assert.equal(under(device), ["-1@1", "-1@2", "-1@3", "-1@4"]);
    device.runs[0]!.end();
    assert.is(top(await second), following(following(7)));
    assert.equal(context.tokens, [7, following(7)]);
  });
});

test("no more than the caller can want, or the cache holds", async () => {
  await scripted(async (_, device, context) => {
    void append(context, 7, { most: 1 });
    await setImmediate();
    assert.equal(under(device), ["7@0", "-1@1"]);
    endAll(device);
  });
  await scripted(async (_, device, context) => {
    void append(context, 7);
    await setImmediate();
    assert.equal(under(device), ["7@0", "-1@1"]);
    endAll(device);
  }, 2);
});

test("a token that was not drawn is run, and what was begun without it counts for nothing", async () => {
  await scripted(async (_, device, context) => {
    const first = append(context, 7);
    await setImmediate();
    device.runs[0]!.end();
    await first;
    const other = (following(7) + 1) % shape.vocab;
    const second = append(context, other);
    await setImmediate();
    // The three that are wrong, and the right one behind them with its own.
    assert.equal(under(device), ["-1@1", "-1@2", "-1@3", `${other}@1`, "-1@2", "-1@3", "-1@4"]);
    for (let ended = 0; ended < 4; ended++) device.runs[0]!.end();
    assert.is(top(await second), following(other));
    assert.equal(context.tokens, [7, other]);
    endAll(device);
  });
});

test("a change of the cache in between", async () => {
  const changes: readonly ((context: ContextCache) => unknown)[] = [
    (context) => context.truncate(0),
    (context) => context.reset(),
    (context) => context.dropOldest(1),
    (context) => context.restore({ tokens: [], dropped: 0, state: new Map() }),
  ];
  for (const change of changes) {
    await scripted(async (_, device, context) => {
      const first = append(context, 7);
      await setImmediate();
      endAll(device);
      await first;
      await change(context);
      const second = append(context, following(7));
      await setImmediate();
      assert.equal(under(device)[0], `${following(7)}@0`, change.toString());
      endAll(device);
      await second;
      assert.equal(context.tokens, [following(7)]);
    });
  }
});

test("another context's turn in between", async () => {
  await scripted(async (model, device, context) => {
    device.isFree = true;
    const other = model.createContext();
    await append(context, 7);
    await append(other, 9);
    device.isFree = false;
    // Its rows were taken out with one token; those begun behind it are gone. So would be those begun now.
    const second = append(context, following(7));
    await setImmediate();
    assert.equal(under(device), [`${following(7)}@1`]);
    endAll(device);
    assert.is(top(await second), following(following(7)));
    // Behind a step of the other one, the token drawn last would be the other one's.
    const third = append(context, following(following(7)));
    const theirs = append(other, 11);
    await setImmediate();
    endAll(device);
    await third;
    await setImmediate();
    endAll(device);
    await theirs;
    assert.equal(other.tokens, [9, 11]);
    assert.is(context.length, 3);
  });
});

test("rows that left the device and came back are without what was begun", async () => {
  await scripted(async (model, device, context) => {
    device.isFree = true;
    const other = model.createContext();
    await append(context, 7);
    await other.append([1, 2, 3]);
    // Brings the rows of one token back; where the next one's was, there is the other one's now.
    await context.save();
    device.isFree = false;
    const second = append(context, following(7));
    await setImmediate();
    assert.equal(under(device), [`${following(7)}@1`, "-1@2", "-1@3", "-1@4"]);
    endAll(device);
    assert.is(top(await second), following(following(7)));
  });
});

test("a failure is told to whoever asks for the step, and to nobody else", async () => {
  await scripted(async (_, device, context) => {
    const first = append(context, 7);
    await setImmediate();
    device.runs[0]!.end();
    await first;
    for (const run of [...device.runs]) run.fail("lost");
    await setImmediate();
    let message = "";
    await append(context, following(7)).catch((error: Error) => {
      message = error.message;
    });
    assert.is(message, "failed: -1");
    assert.equal(context.tokens, [7]);
    endAll(device);
    const other = append(context, 12, { most: 0 });
    await setImmediate();
    endAll(device);
    assert.is(top(await other), following(12));
  });
});

test("a text begins no step that it cannot want", async () => {
  await scripted(async (model, device) => {
    device.isFree = true;
    let runs = 0;
    const { push } = device.runs;
    device.runs.push = (...added) => {
      runs += added.length;
      return push.apply(device.runs, added);
    };
    const { tokens } = await generate(model, [1], { maxTokens: 6, text: false, ignoreEos: true }).finish();
    assert.equal(tokens, [8, 6, 33, 20, 29, 0]);
    // The prompt gives the first token, each step one more; nothing reads behind the last.
    assert.is(runs, 6);
  });
});

test("texts that take turns begin next to nothing that the other one's turn undoes", async () => {
  await scripted(async (model, device) => {
    device.isFree = true;
    let runs = 0;
    const { push } = device.runs;
    device.runs.push = (...added) => {
      runs += added.length;
      return push.apply(device.runs, added);
    };
    const ways = { maxTokens: 20, text: false, ignoreEos: true };
    await Promise.all([1, 2].map((token) => generate(model, [token], ways).finish()));
    assert.ok(runs <= 50, `${runs} runs for 40 tokens`);
  });
});

test("two texts on one simulated GPU, a step of each in turn, are those of either alone", async () => {
  await inDirectory(async (directory) => {
    writeCheckpoint(directory, { ...shape, vocab: 320, scale: 0.3 });
    addTokenizer(directory);
    using model = await openOn("cuda-sim", directory, { capacity: 64, chunk: 8 });
    const ways = [
      { prompt: [1, 2, 3], options: { temperature: 0.9, topK: 20, topP: 0.9, seed: 3 } },
      { prompt: [4, 5], options: { temperature: 0 } },
    ];
    const begin = ({ prompt, options }: (typeof ways)[number]) =>
      generate(model, prompt, { ...options, maxTokens: 15, ignoreEos: true });
    const alone: (readonly number[])[] = [];
    for (const way of ways) alone.push((await begin(way).finish()).tokens);
    const together = ways.map(begin);
    const texts = await Promise.all(
      together.map(async (generation) => {
        const tokens: number[] = [];
        for await (const { token } of generation) tokens.push(token);
        return tokens;
      }),
    );
    assert.equal(texts, alone);
  });
});

test.run();
