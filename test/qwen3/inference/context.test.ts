/** The context cache: what it holds, prefix reuse, dropping the oldest, several contexts on one model. */
import { formatProblems, WeftError } from "@weft/dsl";
import { advanceTo, type ContextCache, type Qwen3, requiredTensors } from "@weft/qwen3";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type CheckpointShape, writeCheckpoint } from "../../support/checkpoints.ts";
import fc from "../../support/fast-check.ts";
import { largestDifference } from "../../support/largest-difference.ts";
import { type DeviceName, openOn } from "../../support/models.ts";
import { inDirectory, rejectsWith } from "./support.ts";

const small: CheckpointShape = {
  hidden: 16,
  layers: 2,
  heads: 4,
  kvHeads: 2,
  headDim: 8,
  intermediate: 24,
  vocab: 37,
};

const test = suite("context");

const withModel = (
  work: (model: Qwen3) => Promise<void>,
  shape: CheckpointShape = small,
  options: Parameters<typeof openOn>[2] = { capacity: 24, chunk: 5 },
  device: DeviceName = "cpu",
) =>
  inDirectory(async (directory) => {
    writeCheckpoint(directory, shape);
    using model = await openOn(device, directory, options);
    await work(model);
  });

/** The last logits after a fresh prefill. */
async function fresh(model: Qwen3, tokens: readonly number[], dropped = 0): Promise<Float32Array> {
  using context = model.createContext();
  context.reset(dropped);
  return (await context.append(tokens)).slice();
}

const token = fc.nat(small.vocab - 1);

test("append, truncate and reset, in any order, give the logits of a fresh prefill", async () => {
  await withModel(async (model) => {
    const context = model.createContext();
    const step = fc.oneof(
      fc.record({
        kind: fc.constant("append" as const),
        tokens: fc.array(token, { minLength: 1, maxLength: 9 }),
      }),
      fc.record({
        kind: fc.constant("truncate" as const),
        share: fc.double({ min: 0, max: 1, noNaN: true }),
      }),
      fc.constant({ kind: "reset" as const }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 6 }), async (steps) => {
        context.reset();
        const expected: number[] = [];
        for (const one of steps) {
          if (one.kind === "reset") {
            context.reset();
            expected.length = 0;
          } else if (one.kind === "truncate") {
            expected.length = Math.floor(expected.length * one.share);
            context.truncate(expected.length);
          } else {
            const tokens = one.tokens.slice(0, model.capacity - expected.length);
            if (tokens.length === 0) continue;
            const logits = await context.append(tokens);
            expected.push(...tokens);
            assert.ok(largestDifference([logits], [await fresh(model, expected)]) <= 1e-5);
          }
          assert.equal(context.tokens, expected);
          assert.is(context.length, expected.length);
        }
      }),
      { numRuns: 15 },
    );
  });
});

test("dropping the oldest does what the interpreter does with the same cache", async () => {
  await inDirectory(async (directory) => {
    writeCheckpoint(directory, small);
    const run = async (device: DeviceName) => {
      using model = await openOn(device, directory, { capacity: 12, chunk: 4 });
      const context = model.createContext();
      const rows: Float32Array[] = [];
      rows.push((await context.append([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])).slice());
      await context.dropOldest(3);
      assert.is(context.dropped, 3);
      assert.equal(context.tokens, [4, 5, 6, 7, 8, 9, 10]);
      rows.push((await context.append([11, 12, 13])).slice());
      rows.push((await context.append([14])).slice());
      await context.dropOldest(5);
      rows.push((await context.append([15, 16, 17, 18])).slice());
      return rows;
    };
    assert.ok(largestDifference(await run("cpu"), await run("interpreter")) <= 1e-5);
  });
});

test("with one layer, dropping the oldest is a fresh prefill of the rest at its positions", async () => {
  await withModel(
    async (model) => {
      const context = model.createContext();
      await context.append([3, 1, 4, 1, 5, 9, 2, 6, 5, 3]);
      await context.dropOldest(4);
      const logits = await context.append([7, 7]);
      const rest = [5, 9, 2, 6, 5, 3, 7, 7];
      assert.ok(largestDifference([logits], [await fresh(model, rest, 4)]) <= 1e-5);
      // Rotations are relative, so where the text begins does not matter.
      assert.ok(largestDifference([logits], [await fresh(model, rest)]) <= 1e-4);
    },
    { ...small, layers: 1 },
  );
});

test("contexts of one model take turns and do not see each other", async () => {
  await withModel(async (model) => {
    const contexts: ContextCache[] = [model.createContext(), model.createContext(), model.createContext()];
    const histories: number[][] = [[], [], []];
    const order = [0, 1, 0, 2, 1, 1, 0, 2, 0];
    for (const [step, which] of order.entries()) {
      const tokens = [step + 1, (step * 7) % 37];
      const logits = await contexts[which]!.append(tokens);
      histories[which]!.push(...tokens);
      if (step === 4) {
        histories[which]!.length = 3;
        contexts[which]!.truncate(3);
      } else
        assert.ok(
          largestDifference([logits], [await fresh(model, histories[which]!)]) <= 1e-5,
          `step ${step}`,
        );
    }
    // At once: the steps are run one after the other.
    const both = await Promise.all([contexts[0]!.append([1, 2, 3]), contexts[2]!.append([4, 5, 6])]);
    histories[0]!.push(1, 2, 3);
    histories[2]!.push(4, 5, 6);
    assert.ok(largestDifference([both[0]!], [await fresh(model, histories[0]!)]) <= 1e-5);
    assert.ok(largestDifference([both[1]!], [await fresh(model, histories[2]!)]) <= 1e-5);
  });
});

test("a saved context is the same elsewhere, also with another capacity", async () => {
  await inDirectory(async (directory) => {
    writeCheckpoint(directory, small);
    using model = await openOn("cpu", directory, { capacity: 24, chunk: 5 });
    using other = await openOn("cpu", directory, { capacity: 40, chunk: 3 });
    const context = model.createContext();
    await context.append([1, 2, 3, 4, 5, 6, 7]);
    await context.dropOldest(2);
    const snapshot = await context.save();
    const expected = (await context.append([8, 9])).slice();
    const copy = other.createContext();
    copy.restore(snapshot);
    assert.equal(copy.tokens, [3, 4, 5, 6, 7]);
    assert.is(copy.dropped, 2);
    assert.ok(largestDifference([await copy.append([8, 9])], [expected]) <= 1e-5);
    // And back into the context that went on meanwhile.
    context.restore(snapshot);
    assert.ok(largestDifference([await context.append([8, 9])], [expected]) === 0);
  });
});

test("what does not fit is refused before anything is run", async () => {
  await withModel(async (model) => {
    const context = model.createContext();
    await context.append([1, 2, 3]);
    await rejectsWith(() => context.append(Array(22).fill(1)), "capacity of 24 tokens", "25 tokens");
    await rejectsWith(() => context.append([1, 37]), "from 0 to 36", "37 at position 1");
    await rejectsWith(() => context.append([]), "at least one token");
    await rejectsWith(() => context.dropOldest(4), "0 to 3 tokens");
    assert.throws(() => context.truncate(4), /0 to 3 tokens/);
    assert.throws(() => context.reset(2 ** 25), /can have been dropped/);
    assert.equal(context.tokens, [1, 2, 3]);
    const snapshot = await context.save();
    assert.throws(
      () => context.restore({ ...snapshot, tokens: [1, 2] }),
      (error: unknown) => error instanceof WeftError && formatProblems(error.problems).includes("saved from"),
    );
    assert.equal(context.tokens, [1, 2, 3]);
    const running = context.append([1, 2]);
    assert.throws(() => context.truncate(0), /at work/);
    await rejectsWith(() => context.append([1]), "at work");
    await running;
    assert.is(context.length, 5);
  });
});

test("an abort between two steps keeps what is done", async () => {
  await withModel(async (model) => {
    const context = model.createContext();
    const controller = new AbortController();
    const tokens = Array.from({ length: 17 }, (_, index) => index);
    try {
      await context.append(tokens, {
        signal: controller.signal,
        onProgress: (done) => done >= 10 && controller.abort(new Error("enough")),
      });
      assert.unreachable();
    } catch (error) {
      assert.is((error as Error).message, "enough");
    }
    assert.equal(context.tokens, tokens.slice(0, 10));
    const logits = await context.append(tokens.slice(10));
    assert.ok(largestDifference([logits], [await fresh(model, tokens)]) <= 1e-5);
  });
});

test("all parameters are asked for by their names in a checkpoint", async () => {
  await withModel(async (model) => {
    const names = requiredTensors(model.config).map(({ name, shape }) => `${name} [${shape.join(", ")}]`);
    assert.ok(names.includes("model.layers.1.self_attn.q_proj.weight [32, 16]"));
    assert.ok(names.includes("model.layers.0.self_attn.o_proj.weight [16, 32]"));
    assert.is(names.length, 2 * 11 + 3);
  });
});

test("a context that is disposed while it works ends with an error, and runs nothing more", async () => {
  await withModel(async (model) => {
    const context = model.createContext();
    await context.append([1, 2, 3]);
    const work = context.append([4, 5, 6, 7, 8, 9, 10, 11]);
    context[Symbol.dispose]();
    await rejectsWith(() => work, "after it was disposed");
    assert.is(context.length, 0);
    await rejectsWith(() => context.append([1]), "after it was disposed");
    assert.ok(await fresh(model, [1, 2]));
  });
});

test("advancing to an empty text is refused, and the context stays", async () => {
  await withModel(async (model) => {
    using context = model.createContext();
    await rejectsWith(() => advanceTo(context, [], {}), "at least one token", "given an empty text");
    await context.append([1, 2, 3]);
    await context.dropOldest(1);
    await rejectsWith(() => advanceTo(context, [], { clip: "drop-oldest" }), "at least one token");
    assert.equal([...context.tokens], [2, 3]);
    assert.is(context.dropped, 1);
  });
});

test.run();
