/** The parts of bench:gpu that need no GPU: order of the work, quick checkpoints, targets, rooflines. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { orThrow } from "@weft/dsl";
import { openCheckpoint, readQwen3Config, readTensor, storedWeights } from "@weft/qwen3";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { checkpointBytes, makeCheckpoint } from "../../bench/gpu/checkpoint.ts";
import { rooflineOf, showAll } from "../../bench/gpu/report.ts";
import { fileNameOf } from "../../bench/gpu/results.ts";
import type { Row } from "../../bench/gpu/rows.ts";
import { targetsOf, verdict } from "../../bench/gpu/targets.ts";
import { documentsOf, operationsPerToken } from "../../bench/gpu/training.ts";
import { mainSize, parseOptions, visitsOf } from "../../bench/gpu/work.ts";
import { shapes } from "../../bench/model/shapes.ts";

const test = suite("bench: gpu");

test("what is wanted most comes first, and nothing is measured twice", () => {
  const visits = visitsOf(parseOptions([]));
  const short = visits.map(({ model, who, contexts, prefill, train }) =>
    [
      model,
      who,
      contexts.join("+"),
      prefill.join("+"),
      ...(train.length > 0 ? [`trains ${train.join("+")}`] : []),
    ].join(" "),
  );
  assert.equal(short.slice(0, 4), [
    "4b weft 1024 1024",
    "4b-nvfp4 weft 1024 1024",
    "0.6b weft 1024 1024",
    "8b weft 1024 1024",
  ]);
  assert.equal(
    short.filter((one) => one.includes("trains")),
    [
      "4b weft   trains 1024+4096",
      "0.6b weft   trains 1024+4096",
      ...["4b", "0.6b"].flatMap((model) =>
        ["eager", "compiled"].map((variant) => `${model} transformers-${variant}   trains 1024+4096`),
      ),
    ],
  );
  assert.is(short.at(-1), "1.7b transformers-compiled 128+8192 512+4096");
  const rows = visits.flatMap(({ model, who, contexts }) =>
    contexts.map((size) => `${model} ${who} ${size}`),
  );
  assert.is(new Set(rows).size, rows.length);
  // The peers read no NVFP4.
  assert.is(rows.length, 4 * 3 * 3 + 3);
  const alone = visitsOf(
    parseOptions(["--no-peer", "--models", "8b", "--contexts", "128", "--prefill", "512", "--train", "none"]),
  );
  assert.equal(
    alone.map(({ model, who }) => `${model} ${who}`),
    ["8b weft"],
  );
});

test("the size nearest to the targets'", () => {
  assert.is(mainSize([128, 1024, 8192]), 1024);
  assert.is(mainSize([512, 4096]), 512);
  assert.is(mainSize([8]), 8);
});

test("shapes have the released models' numbers of weights", () => {
  const billions = (name: keyof typeof shapes) => Number((checkpointBytes(shapes[name]) / 2e9).toFixed(2));
  assert.equal(
    (["qwen3-0.6b", "qwen3-1.7b", "qwen3-4b", "qwen3-8b"] as const).map(billions),
    [0.6, 1.72, 4.02, 8.19],
  );
});

test("a quick checkpoint opens, is the same again, and in shards where it is large", async () => {
  const folder = mkdtempSync(join(tmpdir(), "weft-gpu-checkpoint-"));
  try {
    const wide = { ...shapes.tiny, hidden: 1024, vocab: 100_000, layers: 1, tied: false };
    for (const [name, shape, shards] of [
      ["tiny", shapes.tiny, 1],
      ["wide", wide, 2],
    ] as const) {
      const { directory, bytes } = await makeCheckpoint(join(folder, name), shape);
      assert.is(bytes, checkpointBytes(shape));
      const files = readdirSync(directory).filter((file) => file.endsWith(".safetensors"));
      assert.ok(files.length >= shards, files.join());
      assert.is(orThrow(readQwen3Config(directory)).layers, shape.layers);
      const { tensors } = orThrow(openCheckpoint(directory));
      const values = readTensor(tensors.get("model.layers.0.mlp.up_proj.weight")!);
      const square = values.reduce((sum, value) => sum + value * value, 0) / values.length;
      assert.ok(Math.abs(Math.sqrt(square) / shape.scale - 1) < 0.05, `${Math.sqrt(square)}`);
    }
    const coded = await makeCheckpoint(join(folder, "coded"), shapes.tiny, "nvfp4");
    assert.is(coded.bytes, checkpointBytes(shapes.tiny, "nvfp4"));
    const { linears } = orThrow(storedWeights(orThrow(openCheckpoint(coded.directory))));
    assert.is(linears.size, 7 * shapes.tiny.layers);
    const again = await makeCheckpoint(join(folder, "again"), shapes.tiny);
    const read = (directory: string) => readFileSync(join(directory, "model.safetensors"));
    assert.ok(read(again.directory).equals(read(join(folder, "tiny"))));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

const row = (model: Row["model"], who: Row["who"], kind: Row["kind"], rate: number): Row => ({
  model,
  who,
  kind,
  size: 1024,
  samples: 1,
  tokensPerSecond: { median: rate, min: rate, max: rate },
});

test("targets: reached, short by, not measured; the best peer counts", () => {
  const targets = targetsOf([
    row("4b", "weft", "decode", 260),
    row("4b", "transformers-eager", "decode", 50),
    row("4b", "transformers-compiled", "decode", 250),
    row("0.6b", "weft", "decode", 900),
    row("8b", "weft", "step", 500),
  ]);
  const of = (question: string) => targets.find((one) => one.question === question)!;
  assert.is(verdict(of("4b decode at 1024")), "reached");
  assert.is(verdict(of("0.6b decode at 1024")), "short by 10.0 %");
  assert.is(verdict(of("8b decode at 1024")), "not measured");
  assert.is(of("4b decode 1024 beside the best PyTorch").measured, 260 / 250);
  assert.is(of("0.6b decode 1024 beside the best PyTorch").measured, undefined);
});

test("a roofline is the slower of moving and computing; unknown limits give none", () => {
  const limits = { copyBytesPerSecond: 1e12, matmulOperationsPerSecond: 1e15, source: "given" };
  assert.is(rooflineOf({ bytes: 2e9, operations: 1e12 }, limits), 2e-3);
  assert.is(rooflineOf({ bytes: 1e9, operations: 1e13 }, limits), 1e-2);
  assert.is(rooflineOf({ bytes: 1e9, operations: 1e13 }, { source: "none" }), undefined);
  const text = showAll({
    rows: [row("4b", "weft", "decode", 260)],
    profiles: [],
    missing: [{ what: "PyTorch", why: "not here" }],
    limits,
    peers: {},
  });
  assert.match(text, /PyTorch: not here/);
  assert.match(text, /4b decode at 1024 .* reached/);
});

test("what a token of a training step is worth: six operations for each weight, and the scores", () => {
  const scores = (length: number) => 6 * length * 32 * 128 * 36;
  const at = (size: number) => operationsPerToken(shapes["qwen3-4b"], size);
  assert.is(at(1024) - at(512), scores(512));
  // More tokens are more documents.
  assert.is(at(4096), at(1024));
  assert.equal(
    documentsOf(2500, 500).map(({ tokens }) => tokens.length),
    [1024, 1024, 452],
  );
  // Matrices of the layers, and the head that is the embedding.
  const layer = 2560 * (2 * 4096 + 2 * 1024) + 3 * 2560 * 9728;
  assert.is(at(1024) - scores(1024), 6 * (36 * layer + 151936 * 2560));
  const text = showAll({
    rows: [{ ...row("4b", "weft", "train", 23500), operationsPerToken: 2.5e10 }],
    profiles: [],
    missing: [],
    limits: { copyBytesPerSecond: 1e12, matmulOperationsPerSecond: 1e15, source: "given" },
    peers: {},
  });
  assert.match(text, /4b train weft .* 59 %/);
  assert.match(text, /4b training at 1024 .* reached/);
});

test("a result's file is named after the device", () => {
  assert.is(fileNameOf("NVIDIA H100 80GB HBM3"), "gpu.nvidia-h100-80gb-hbm3.json");
});

test.run();
