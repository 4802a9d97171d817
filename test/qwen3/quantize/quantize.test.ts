/** A plain checkpoint in NVFP4: the definition's bytes, what is left out, what is refused, and nothing half-written. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { decodeNvfp4, encodeNvfp4, nvfp4EncodeScale } from "@weft/dsl";
import {
  checkAgreement,
  type Nvfp4Format,
  openCheckpoint,
  type QuantizeOptions,
  quantizeCheckpoint,
  readQuantizationConfigs,
  readQwen3Config,
  readTensor,
  storedWeights,
  type TensorToWrite,
  writeSafetensors,
} from "@weft/qwen3";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { rowPieces } from "../../../packages/qwen3/src/quantize/rows.ts";
import { type CheckpointShape, configOf, writeCheckpoint } from "../../support/checkpoints.ts";
import { fixtures, inDirectory, left, refusedWith, right } from "../weights/files.ts";
import { tensorsOf } from "./tensors.ts";

const test = suite("qwen3/quantize");
const tied = join(fixtures, "tiny-tied");
const formats: readonly Nvfp4Format[] = ["compressed-tensors", "modelopt", "dat"];
const json = (directory: string, file = "config.json") =>
  JSON.parse(readFileSync(join(directory, file), "utf8"));
const linears = (path: string) => right(storedWeights(right(openCheckpoint(path)))).linears;
const amaxOf = (values: Float32Array) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

for (const format of formats) {
  test(`${format}: the definition's codes and scales, and the rest as it was`, () =>
    inDirectory(async (directory) => {
      const out = join(directory, "a/deep/one");
      const report = right(await quantizeCheckpoint({ model: tied, directory: out, format }));
      const [before, after] = [tensorsOf(tied), tensorsOf(out)];
      const found = linears(out);
      assert.is(found.size, 14);
      const source = right(openCheckpoint(tied)).tensors;
      for (const [name, linear] of found) {
        const values = readTensor(source.get(name)!);
        const amax = amaxOf(values);
        const encodeScale = format === "dat" ? 1 : nvfp4EncodeScale(amax);
        const expected = encodeNvfp4(values, { encodeScale });
        assert.equal(after.get(linear.codes.name)!.bytes, expected.codes, name);
        assert.equal(after.get(linear.scales.name)!.bytes, expected.scales, name);
        assert.is(linear.tensorScale, Math.fround(1 / encodeScale));
        const told = report.linears.find((one) => one.name === name)!;
        const decoded = decodeNvfp4(expected).map((value) => value * linear.tensorScale);
        const power = values.reduce((sum, value) => sum + value ** 2, 0);
        const error = values.reduce((sum, value, i) => sum + (value - decoded[i]!) ** 2, 0);
        assert.equal([told.how, told.amax, told.shape], ["encoded", amax, linear.shape]);
        assert.ok(Math.abs(told.relativeError! - Math.sqrt(error / power)) < 1e-6);
        assert.is(told.zeroBlocks, 0);
      }
      const kept = [...before.keys()].filter((name) => !found.has(name));
      assert.is(kept.length, before.size - 14);
      for (const name of kept) assert.equal(after.get(name), before.get(name));
      for (const config of right(readQuantizationConfigs(out))) {
        right(checkAgreement(config, right(storedWeights(right(openCheckpoint(out))))));
        assert.is(config.activations, false);
      }
      assert.is(
        right(readQuantizationConfigs(out)).length,
        { "compressed-tensors": 1, modelopt: 2, dat: 0 }[format],
      );
      right(readQwen3Config(out));
      assert.is(json(out).tie_word_embeddings, true);
      assert.equal(readFileSync(join(out, "tokenizer.json")), readFileSync(join(tied, "tokenizer.json")));
      assert.equal(readdirSync(join(directory, "a/deep")), ["one"]);
    }));
}

test("shards, four over six, and what is left out", () =>
  inDirectory(async (directory) => {
    const [model, out] = [join(directory, "model"), join(directory, "out")];
    mkdirSync(model);
    const shape: CheckpointShape = {
      hidden: 32,
      layers: 2,
      heads: 2,
      kvHeads: 1,
      headDim: 16,
      intermediate: 48,
      vocab: 8,
      shards: 3,
    };
    writeCheckpoint(model, shape);
    const report = right(
      await quantizeCheckpoint({
        model,
        directory: out,
        format: "compressed-tensors",
        fourOverSix: true,
        exclude: ["*.0.mlp.*", "re:.*v_proj", "model.layers.1.self_attn.o_proj"],
      }),
    );
    const found = linears(out);
    assert.is(found.size, 14 - 3 - 2 - 1);
    assert.is(report.linears.length, found.size);
    const source = right(openCheckpoint(model)).tensors;
    let differing = 0;
    for (const [name, { codes }] of found) {
      const values = readTensor(source.get(name)!);
      const encodeScale = nvfp4EncodeScale(amaxOf(values));
      const own = tensorsOf(out).get(codes.name)!.bytes;
      assert.equal(own, encodeNvfp4(values, { encodeScale, fourOverSix: true }).codes);
      if (Buffer.compare(own, encodeNvfp4(values, { encodeScale }).codes) !== 0) differing++;
    }
    assert.ok(differing > 0);
    const { ignore } = json(out).quantization_config;
    assert.equal([...ignore].sort(), [
      "lm_head",
      ...["down", "gate", "up"].map((one) => `model.layers.0.mlp.${one}_proj`),
      "model.layers.0.self_attn.v_proj",
      "model.layers.1.self_attn.o_proj",
      "model.layers.1.self_attn.v_proj",
    ]);
  }));

test("the head: its own weights, and those of a tied one become its own", () =>
  inDirectory(async (directory) => {
    const run = async (model: string, name: string, format: Nvfp4Format) => {
      const out = join(directory, name);
      right(await quantizeCheckpoint({ model, directory: out, format, head: true }));
      return out;
    };
    const untied = await run(join(fixtures, "tiny"), "untied", "modelopt");
    assert.is(linears(untied).size, 15);
    assert.is(json(untied).tie_word_embeddings, false);
    assert.equal(json(untied).quantization_config.ignore, []);
    const out = await run(tied, "tied", "compressed-tensors");
    const head = linears(out).get("lm_head.weight")!;
    const table = readTensor(right(openCheckpoint(tied)).tensors.get("model.embed_tokens.weight")!);
    const expected = encodeNvfp4(table, { encodeScale: nvfp4EncodeScale(amaxOf(table)) });
    assert.equal(tensorsOf(out).get(head.codes.name)!.bytes, expected.codes);
    assert.ok(tensorsOf(out).has("model.embed_tokens.weight"));
    assert.is(json(out).tie_word_embeddings, false);
    // Also a checkpoint that is quantised already may get one.
    const later = join(directory, "later");
    const quantized = join(fixtures, "nvfp4/modelopt");
    const options = { model: quantized, directory: later, format: "modelopt", head: true } as const;
    const report = right(await quantizeCheckpoint(options));
    assert.equal(
      report.linears.filter(({ how }) => how === "encoded").map(({ name }) => name),
      ["lm_head.weight"],
    );
    // Scales of activations are of use only if all have one.
    assert.is(report.withoutActivations.length, 14);
    assert.is(json(later).quantization_config.quant_algo, "W4A16_NVFP4");
    assert.not.ok([...tensorsOf(later).keys()].some((name) => name.endsWith("input_scale")));
  }));

const block = (name: string, shape: readonly number[], fill: (i: number) => number): TensorToWrite => ({
  name: `model.layers.0.${name}.weight`,
  dtype: "F32",
  shape,
  data: Float32Array.from({ length: shape.reduce((product, size) => product * size, 1) }, (_, i) => fill(i)),
});
const small = { hidden: 16, layers: 1, heads: 1, kvHeads: 1, headDim: 16, intermediate: 16, vocab: 4 };

/** A checkpoint of a few tensors; whether it is a whole model does not matter here. */
const withTensors = (
  tensors: readonly TensorToWrite[],
  work: (
    run: (rest?: Partial<QuantizeOptions>) => ReturnType<typeof quantizeCheckpoint>,
    folder: string,
  ) => Promise<void>,
) =>
  inDirectory((folder) => {
    writeFileSync(join(folder, "config.json"), JSON.stringify(configOf(small)));
    right(writeSafetensors(join(folder, "model.safetensors"), tensors));
    const options = { model: folder, directory: join(folder, "out"), format: "compressed-tensors" } as const;
    return work((rest = {}) => quantizeCheckpoint({ ...options, ...rest }), folder);
  });

test("NaN and infinity anywhere are named, all of them, and nothing is written", () =>
  withTensors(
    [
      block("a", [2, 16], (i) => (i === 17 ? Number.NaN : 1)),
      block("b", [2, 16], (i) => (i === 3 ? Number.NEGATIVE_INFINITY : 1)),
      block("norm", [16], (i) => (i === 1 ? Number.POSITIVE_INFINITY : 1)),
      block("c", [2, 16], () => 1),
    ],
    async (run, folder) => {
      const lines = left(await run());
      assert.is(lines.length, 3, lines.join("\n"));
      assert.match(lines[0]!, /given NaN at flat index 17; at model\.layers\.0\.a\.weight/);
      assert.match(lines[1]!, /given -Infinity at flat index 3; at model\.layers\.0\.b\.weight/);
      assert.match(lines[2]!, /given Infinity at flat index 1; at model\.layers\.0\.norm\.weight/);
      assert.equal(readdirSync(folder), ["config.json", "model.safetensors"]);
    },
  ));

test("zeros, denormals and one large value in a row", () =>
  withTensors(
    [
      block("zeros", [2, 32], () => 0),
      block("tiny", [1, 16], () => 2 ** -149),
      block("wide", [1, 64], (i) => (i === 0 ? 3e38 : i < 32 ? -1 : 0)),
    ],
    async (run, folder) => {
      const { linears: told } = right(await run());
      const one = (name: string) => told.find((linear) => linear.name === `model.layers.0.${name}.weight`)!;
      assert.equal([one("zeros").relativeError, one("zeros").zeroBlocks, one("zeros").amax], [0, 1, 0]);
      assert.is(one("wide").zeroBlocks, 0.75);
      const scales = linears(join(folder, "out"));
      assert.is(scales.get("model.layers.0.zeros.weight")!.tensorScale, 1);
      assert.ok(scales.get("model.layers.0.tiny.weight")!.tensorScale > 0);
    },
  ));

test("what cannot be quantised is named with the way around it", () =>
  withTensors(
    [
      block("odd", [2, 24], () => 1),
      { ...block("whole", [2, 16], () => 1), dtype: "I32" },
      block("good", [2, 16], () => 1),
    ],
    async (run) => {
      const lines = left(await run());
      assert.is(lines.length, 2, lines.join("\n"));
      assert.match(
        lines[0]!,
        /K, the last axis, must be a positive multiple of 16; given \[2, 24\]; at model\.layers\.0\.odd/,
      );
      assert.match(lines[0]!, /leave it plain: exclude model\.layers\.0\.odd/);
      assert.match(lines[1]!, /^unsupported: .*only F32, F16, BF16 can be quantised; given I32/);
      refusedWith(await run({ exclude: ["*.odd", "*.whole", "*.godd"] }), "must name a linear", "*.godd");
      refusedWith(
        await run({ exclude: ["model.layers.0.odd", "*.whole", "model.layers.0.goood"] }),
        "did you mean model.layers.0.good?",
      );
      refusedWith(await run({ exclude: ["re:[", "*.odd", "*.whole"] }), "[exclude] a pattern must be");
      refusedWith(
        await run({ exclude: ["re:.*"] }),
        "must hold linears of blocks to quantise",
        "all of them are excluded",
      );
      assert.is(right(await run({ exclude: ["*.odd", "*.whole"] })).linears.length, 1);
    },
  ));

test("a directory that is there, a quantised source with exclusions, and a config that contradicts its weights", () =>
  inDirectory(async (directory) => {
    const format = "modelopt";
    refusedWith(
      await quantizeCheckpoint({ model: tied, directory, format }),
      "must not exist yet; given a directory",
    );
    refusedWith(
      await quantizeCheckpoint({ model: join(directory, "no"), directory: join(directory, "x"), format }),
      "must exist",
    );
    const quantized = join(fixtures, "nvfp4/modelopt");
    refusedWith(
      await quantizeCheckpoint({
        model: quantized,
        directory: join(directory, "x"),
        format,
        exclude: ["*.q_proj"],
      }),
      "quantised already: its codes are kept",
    );
    refusedWith(
      await quantizeCheckpoint({
        model: quantized,
        directory: join(directory, "x"),
        format,
        fourOverSix: true,
      }),
      "[four-over-six] needs weights that are encoded; given a checkpoint that is quantised already",
    );
    refusedWith(
      await quantizeCheckpoint({ model: tied, directory: join(directory, "x"), format, exclude: ["*"] }),
      "given all of them are excluded; exclude fewer",
    );
    const mixed = join(directory, "mixed");
    mkdirSync(mixed);
    writeFileSync(
      join(mixed, "config.json"),
      readFileSync(join(fixtures, "nvfp4/compressed-tensors/config.json")),
    );
    writeFileSync(join(mixed, "model.safetensors"), readFileSync(join(quantized, "model.safetensors")));
    const lines = left(await quantizeCheckpoint({ model: mixed, directory: join(directory, "x"), format }));
    assert.match(lines[0]!, /the weights must be stored as compressed-tensors has it; at model\.layers/);
    assert.equal(readdirSync(directory), ["mixed"]);
  }));

test("a few megabytes are in memory at once, whatever the size of a matrix", () => {
  const pieces = [...rowPieces([151_936, 2560])];
  assert.ok(pieces.every(({ count }) => count * 2560 <= 2 ** 18));
  let next = 0;
  for (const { first, count } of pieces) {
    assert.is(first, next);
    next += count;
  }
  assert.is(next, 151_936);
  assert.equal(
    [...rowPieces([2, 2 ** 21])],
    [
      { first: 0, count: 1 },
      { first: 1, count: 1 },
    ],
  );
});

test("stopped in the middle, nothing is left; progress goes from nothing to all", () =>
  inDirectory(async (directory) => {
    const controller = new AbortController();
    let writing = 0;
    const options = { model: tied, directory: join(directory, "out"), format: "modelopt" } as const;
    const stopped = quantizeCheckpoint({
      ...options,
      signal: controller.signal,
      onProgress: (phase) => {
        if (phase === "writing" && ++writing === 3) controller.abort(new Error("enough"));
      },
    });
    await stopped.then(
      () => assert.unreachable(),
      (error) => assert.is(error.message, "enough"),
    );
    assert.equal(readdirSync(directory), []);
    const told: [string, number, number][] = [];
    right(await quantizeCheckpoint({ ...options, onProgress: (...one) => told.push(one) }));
    assert.ok(told.every(([, done], i) => i === 0 || done >= told[i - 1]![1]));
    const [phase, done, total] = told.at(-1)!;
    assert.is(phase, "writing");
    assert.is(done, total);
  }));

test.run();
