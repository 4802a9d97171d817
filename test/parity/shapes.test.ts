/** Checkpoints of other shapes and types: the CPU's fused and unfused plans, the simulated GPU and the interpreter agree. */
import { type LogitsMode, logitsOf, logitsOpenOptions } from "@weft/qwen3";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { inDirectory } from "../qwen3/inference/support.ts";
import { type CheckpointShape, writeCheckpoint } from "../support/checkpoints.ts";
import { largestDifference, rootMeanSquareDifference } from "../support/largest-difference.ts";
import { openOn } from "../support/models.ts";

/** Row `routes` of docs/numerics.md. */
const tolerance = 1e-4;

/** Row `devices-bf16`. */
const devicesShare = 1e-2;

const base: CheckpointShape = {
  hidden: 24,
  layers: 2,
  heads: 4,
  kvHeads: 2,
  headDim: 8,
  intermediate: 40,
  vocab: 61,
};

const shapes: Readonly<Record<string, CheckpointShape>> = {
  "heads x head_dim larger than hidden": { ...base, headDim: 16 },
  "one kv head": { ...base, kvHeads: 1 },
  "as many kv heads as heads": { ...base, heads: 3, kvHeads: 3, headDim: 10 },
  "one head, head_dim 2": { ...base, heads: 1, kvHeads: 1, headDim: 2 },
  "five queries for each of three kv heads": { ...base, heads: 15, kvHeads: 3, headDim: 6 },
  "head_dim 70, which lanes do not share evenly": { ...base, heads: 2, kvHeads: 1, headDim: 70 },
  "head_dim 98, in pieces across the end of a head": { ...base, heads: 2, headDim: 98 },
  "head_dim 260, more than 8 elements a lane": { ...base, heads: 2, kvHeads: 1, headDim: 260 },
  "odd sizes everywhere": { ...base, hidden: 23, intermediate: 37, vocab: 97 },
  "biases in attention": { ...base, bias: true },
  "tied, theta 10000": { ...base, tied: true, theta: 10_000 },
  "one layer": { ...base, layers: 1 },
  "stored as F16": { ...base, dtype: "F16" },
  "stored as BF16 in three shards": { ...base, dtype: "BF16", shards: 3 },
  "F16 with biases, tied, in two shards": { ...base, dtype: "F16", bias: true, tied: true, shards: 2 },
};

const tokens = [5, 0, 60, 17, 17, 3, 42, 8, 1, 59, 30];

for (const [name, shape] of Object.entries(shapes)) {
  test(name, async () => {
    await inDirectory(async (directory) => {
      writeCheckpoint(directory, shape);
      const run = async (
        device: "cpu" | "cuda-sim" | "interpreter",
        mode: LogitsMode,
        options: { readonly fusion?: boolean; readonly threads?: number } = {},
      ) => {
        using model = await openOn(device, directory, {
          ...logitsOpenOptions(tokens.length, mode, shape.layers),
          ...options,
        });
        return await logitsOf(model, tokens, { mode, hidden: true });
      };
      const expected = await run("interpreter", "whole");
      const others = {
        whole: await run("cpu", "whole"),
        step: await run("cpu", "step"),
        chunks: await run("cpu", { chunk: 4 }),
        "five threads": await run("cpu", "whole", { threads: 5 }),
        unfused: await run("cpu", { chunk: 6 }, { fusion: false }),
        "chunks on the simulated GPU": await run("cuda-sim", { chunk: 4 }),
      };
      for (const [route, { logits, hidden }] of Object.entries(others)) {
        const difference = largestDifference(logits, expected.logits);
        assert.ok(difference <= tolerance, `${route}: logits differ by ${difference}`);
        for (const [path, rows] of Object.entries(expected.hidden)) {
          const inside = largestDifference(hidden[path]!, rows);
          assert.ok(inside <= tolerance, `${route}: ${path} differs by ${inside}`);
        }
      }
      assert.is(Object.keys(expected.hidden).length, shape.layers + 1);
    });
  });

  test(`${name}: bf16 on the simulated GPU, in chunks and by token, is near the CPU's`, async () => {
    await inDirectory(async (directory) => {
      writeCheckpoint(directory, shape);
      const run = async (device: "cpu" | "cuda-sim") => {
        using model = await openOn(device, directory, {
          dtype: "bf16",
          capacity: 16,
          chunk: 5,
          logits: "all",
        });
        return (await logitsOf(model, tokens, { mode: { chunk: 5 } })).logits;
      };
      const expected = await run("cpu");
      const share =
        rootMeanSquareDifference(await run("cuda-sim"), expected) / rootMeanSquareDifference(expected);
      assert.ok(share <= devicesShare, `the simulated GPU is ${share} of the logits away`);
    });
  });
}

test("bf16 in chunks of many positions: attention by tiles is near the CPU's", async () => {
  const long = Array.from({ length: 47 }, (_, at) => (at * 7 + 3) % base.vocab);
  await inDirectory(async (directory) => {
    writeCheckpoint(directory, { ...base, headDim: 16 });
    const run = async (device: "cpu" | "cuda-sim", chunk: number) => {
      using model = await openOn(device, directory, { dtype: "bf16", capacity: 48, chunk, logits: "all" });
      return (await logitsOf(model, long, { mode: { chunk } })).logits;
    };
    const expected = await run("cpu", 21);
    // 8 queries at a time go one by one.
    for (const chunk of [21, 8]) {
      const share =
        rootMeanSquareDifference(await run("cuda-sim", chunk), expected) / rootMeanSquareDifference(expected);
      assert.ok(share <= devicesShare, `chunks of ${chunk} are ${share} of the logits away`);
    }
  });
});

/**
 * bf16 keeps eight bits of a number. A rounding error of 2^-9 on the inputs and weights of each matmul grows along the
 * residual stream; row `oracle-bf16` of docs/numerics.md: against the size of the logits it stays below this share (root of mean squares).
 */
const bf16Share = 0.02;

for (const dtype of ["F32", "BF16", "F16"] as const) {
  test(`policy bf16 on a checkpoint in ${dtype}: near f32, and the same on cpu and interpreter`, async () => {
    await inDirectory(async (directory) => {
      writeCheckpoint(directory, { ...base, dtype });
      const run = async (device: "cpu" | "cuda-sim" | "interpreter", policy: "f32" | "bf16") => {
        using model = await openOn(device, directory, { ...logitsOpenOptions(tokens.length), dtype: policy });
        const { plan } = model;
        const matrices = plan.buffers.filter((one) => one.class === "weights" && one.shape.length > 1);
        const vectors = plan.buffers.filter((one) => one.class === "weights" && one.shape.length === 1);
        const stored = { F32: "f32", BF16: "bf16", F16: "f16" }[dtype];
        const wanted = policy === "bf16" ? "bf16" : stored;
        assert.ok(matrices.every((one) => one.dtype === wanted));
        assert.ok(vectors.every((one) => one.dtype === stored));
        return (await logitsOf(model, tokens)).logits;
      };
      const exact = await run("interpreter", "f32");
      const rounded = await run("cpu", "bf16");
      const share = rootMeanSquareDifference(rounded, exact) / rootMeanSquareDifference(exact);
      assert.ok(share <= bf16Share, `bf16 is ${share} of the logits away from f32`);
      assert.ok(share > 0, "bf16 has an effect");
      // Sums of another order round to another neighbour now and then.
      const own =
        rootMeanSquareDifference(rounded, await run("interpreter", "bf16")) / rootMeanSquareDifference(exact);
      assert.ok(own <= 1e-3, `cpu and interpreter are ${own} of the logits apart`);
    });
  });
}

test.run();
