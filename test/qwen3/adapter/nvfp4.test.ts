/** Adapters over weights in NVFP4: what lies in memory, resumption to the bit, generation, and merging. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { encodeNvfp4, nvfp4EncodeScale } from "@weft/dsl";
import {
  type AdapterOptions,
  adapterParameters,
  batchOf,
  exportHuggingFace,
  type FormatRule,
  filesBeside,
  mergedModel,
  openAdapter,
  openCheckpoint,
  openTrainingModel,
  type QuantizedFormat,
  readCheckpointWeights,
  readPart,
  readTensor,
  storedWeights,
  TrainableModel,
  type TrainingModel,
  train,
  writeAdapter,
} from "@weft/qwen3";
import type { Weight } from "@weft/runtime";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { largestDifference } from "../../support/largest-difference.ts";
import { type DeviceHere, devicesHere, openDevice, openOn } from "../../support/models.ts";
import { takeApart } from "../../support/taken-apart.ts";
import { runOptions } from "../training/run.ts";
import { fixtures, inDirectory, left, right } from "../weights/files.ts";

const test = suite("adapters over NVFP4");
const tied = join(fixtures, "tiny-tied");
const formats = ["compressed-tensors", "modelopt", "dat"] as const;
const folderOf = (format: string) => join(fixtures, "nvfp4", format);
const devices = await devicesHere();
const lora: AdapterOptions = { rank: 4, alpha: 8 };
const layers: FormatRule = { pattern: "model.layers.*", format: "nvfp4" };
const text = [5, 17, 3, 44, 21, 8, 60, 2, 33, 12, 7, 19];
const batch = batchOf([{ tokens: text }]);

type Weights = (name: string) => Weight | undefined;

async function withTraining<A>(
  directory: string,
  work: (model: TrainableModel, training: TrainingModel, weights: Weights) => Promise<A>,
  { on = "cpu", quantize }: { readonly on?: DeviceHere; readonly quantize?: readonly FormatRule[] } = {},
): Promise<A> {
  const { config, load } = right(readCheckpointWeights(directory, { quantize }));
  const record = await load();
  const weights: Weights = (name) => record[name];
  using device = await openDevice(on);
  using training = await openTrainingModel(config, weights, device, {
    sequence: 32,
    lora: { ...lora, seed: 3 },
    programs: ["train", "accumulate", "update", "loss"],
    generation: { capacity: 32, chunk: 32, logits: "all" },
  });
  return await work(new TrainableModel(training, weights, {}, "base"), training, weights);
}

async function learn(training: TrainingModel, steps: number): Promise<readonly number[]> {
  const losses: number[] = [];
  for (let step = 0; step < steps; step++)
    losses.push((await training.step(batch, { learningRate: 0.01 })).loss);
  return losses;
}

const prefill = async ({ executable }: Pick<TrainingModel, "executable">, symbols = {}) => {
  const given = {
    symbols: { seq: text.length, past: 0, dropped: 0, ...symbols },
    inputs: { tokens: Int32Array.from(text) },
  };
  return (await executable.run("prefill", given)).outputs.logits as Float32Array;
};

const opening = { capacity: 32, logits: "all", planCache: false } as const;

for (const format of formats) {
  test(`${format}: the base lies there in 4.5 bits and has no gradient; adapters learn, and generation beside them has the logits of training to the bit`, () =>
    inDirectory(async (folder) => {
      const { linears } = right(storedWeights(right(openCheckpoint(folderOf(format)))));
      for (const on of devices) {
        await withTraining(
          folderOf(format),
          async (model, training) => {
            const { buffers } = training.executable.plan;
            const adapters = new Set(adapterParameters(training.adapter!).map(({ name }) => name));
            for (const name of linears.keys()) {
              const own = buffers.filter((one) => one.name === name || one.name.startsWith(`${name}.`));
              const held = own.map(
                ({ name: of, dtype, class: kind }) => `${of.slice(name.length)} ${dtype} ${kind}`,
              );
              const scale = format === "dat" ? [] : [".tensor_scale f32 weights"];
              assert.equal(held.sort(), [" nvfp4 weights", ...scale].sort(), name);
              assert.not(buffers.some((one) => one.name === `optimizer.gradient.${name}`));
            }
            for (const { name, class: kind, positions } of buffers) {
              if (kind !== "state" || positions >= 0) continue;
              const parameter = name.replace(/^optimizer\.[A-Za-z]+\./, "");
              assert.ok(adapters.has(parameter) || /^optimizer\.(loss|tokens|skipped)$/.test(name), name);
            }
            assert.is(training.quantized.length, 0);
            const losses = await learn(training, 6);
            assert.ok(losses[5]! < 0.7 * losses[0]!, `${on}: ${losses}`);
            const directory = join(folder, on);
            right(await writeAdapter({ directory, model }));
            using beside = await openOn(on, folderOf(format), { ...opening, adapter: directory });
            assert.equal(await prefill(beside), await prefill(training, { length: 0 }));
          },
          { on },
        );
      }
    }));
}

test("a plain base that is quantised where it is read: fewer bytes, and what a quantised file gives", () =>
  withTraining(tied, async (plain) => {
    const quantize = [layers];
    await withTraining(
      tied,
      async (model, training) => {
        const { config } = training;
        assert.is(config.layers, 2);
        // In place of bf16. Pieces of memory are multiples of 256 bytes, and a tensor's scale is one.
        const inLayer = [64 * 64, 64 * 64, 32 * 64, 32 * 64, 128 * 64, 128 * 64, 128 * 64];
        const saved = inLayer.reduce((sum, one) => sum + 2 * one - 256 * Math.ceil((one * 9) / 16 / 256), 0);
        assert.is(plain.memory().parameters! - model.memory().parameters!, 2 * (saved - 7 * 256));
        assert.is(model.memory().blocks, undefined);
        const losses = await learn(training, 4);
        assert.ok(losses[3]! < losses[0]!);
        const frozen = (await model.frozen()) as Readonly<Record<string, string>>;
        assert.equal(Object.keys(frozen).length, right(readCheckpointWeights(tied)).config.layers * 11 + 2);
      },
      { quantize },
    );
  }));

test("four steps are two, a checkpoint and two more, bit for bit; other blocks and other scales are refused", () =>
  inDirectory(async (folder) => {
    const base = folderOf("modelopt");
    const run = (directory: string, name: string, steps: number, resume: boolean) =>
      withTraining(directory, async (model) => {
        const options = await runOptions(folder, { steps, resume, checkpoints: { everySteps: 2 } });
        return train({ ...options, learningRate: () => 1e-2, folder: join(folder, name), model });
      });
    const whole = right(await run(base, "whole", 4, false));
    right(await run(base, "parts", 2, false));
    const parts = right(await run(base, "parts", 4, true));
    assert.is(parts.loss, whole.loss);
    for (const file of ["adapter_model.safetensors", "optimizer.safetensors"]) {
      const [one, two] = [whole, parts].map(({ checkpoint }) => readFileSync(join(checkpoint, file)));
      assert.ok(one!.equals(two!), file);
    }
    const { linears } = right(storedWeights(right(openCheckpoint(base))));
    const { codes } = linears.get("model.layers.0.mlp.up_proj.weight")!;
    const { scales } = linears.get("model.layers.1.mlp.up_proj.weight")!;
    const scaled = right(openCheckpoint(base)).tensors.get("model.layers.0.self_attn.o_proj.weight_scale_2")!;
    const other = join(folder, "other");
    cpSync(base, other, { recursive: true });
    const bytes = readFileSync(codes.path);
    for (const at of [codes.offset, scales.offset, scaled.begin]) bytes[at]! ^= 1;
    writeFileSync(join(other, "model.safetensors"), bytes);
    assert.equal(
      left(await run(other, "parts", 6, true))
        .map((one) => /given other values; at (.*?);/.exec(one)?.[1])
        .sort(),
      [
        "model.layers.0.mlp.up_proj.weight",
        "model.layers.0.self_attn.o_proj.weight",
        "model.layers.1.mlp.up_proj.weight",
      ],
    );
  }));

for (const format of formats) {
  test(`${format}: merged, it is plain, or encoded again; blocks without an adapter stay`, () =>
    inDirectory(async (folder) => {
      const base = folderOf(format);
      const adapterDirectory = join(folder, "adapter");
      const logits = await withTraining(base, async (model, training) => {
        await learn(training, 6);
        right(await writeAdapter({ directory: adapterDirectory, model }));
        const exported = join(folder, "exported");
        right(
          await exportHuggingFace({ directory: exported, model: model.merged(), copy: filesBeside(base) }),
        );
        return prefill(training, { length: 0 });
      });
      // By the definition, from the dequantised checkpoint.
      const apart = join(folder, "apart");
      mkdirSync(apart);
      await takeApart(base, apart);
      const plainBase = right(readCheckpointWeights(apart));
      const opened = right(openAdapter(adapterDirectory, plainBase.config));
      const wanted = mergedModel({ ...plainBase, ...opened, weights: (name) => plainBase.weights[name] });
      const { config, load } = right(readCheckpointWeights(base));
      const record = await load();
      const parts = { ...opened, config, weights: (name: string) => record[name] };
      const write = async (written?: QuantizedFormat) => {
        const directory = join(folder, written ?? "merged");
        const model = mergedModel({ ...parts, ...(written === undefined ? {} : { format: written }) });
        right(await exportHuggingFace({ directory, model, copy: filesBeside(base) }));
        return directory;
      };
      const scale = logits.reduce((most, one) => Math.max(most, Math.abs(one)), 0);
      const plain = await write();
      const [one, two] = [plain, join(folder, "exported")].map((at) =>
        readFileSync(join(at, "model.safetensors")),
      );
      assert.ok(one!.equals(two!));
      {
        using model = await openOn("cpu", plain, opening);
        assert.not(model.plan.buffers.some(({ dtype }) => dtype === "nvfp4"));
        // Rounded to bf16 where config.json does not say f32.
        const tolerance = config.dtype === "f32" ? 1e-5 : 0.03;
        assert.ok(largestDifference([await prefill(model)], [logits]) < tolerance * scale);
      }
      const quantized = right(storedWeights(right(openCheckpoint(base)))).linears;
      for (const written of ["compressed-tensors", "modelopt"] as const) {
        const directory = await write(written);
        const { linears } = right(storedWeights(right(openCheckpoint(directory))));
        assert.equal([...linears.keys()].sort(), [...quantized.keys()].sort());
        for (const [name, linear] of linears) {
          const codes = Buffer.from(await readPart(linear.codes));
          const adapter = opened.adapter.linears.some(({ weight }) => weight === name);
          if (!adapter) {
            assert.ok(codes.equals(await readPart(quantized.get(name)!.codes)), name);
            continue;
          }
          const bytes = await wanted.readState(name);
          const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
          const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
          const own = encodeNvfp4(values, { encodeScale: nvfp4EncodeScale(largest) });
          assert.ok(codes.equals(Buffer.from(own.codes)), name);
        }
        using model = await openOn("cpu", directory, opening);
        assert.is(model.plan.buffers.filter(({ dtype }) => dtype === "nvfp4").length, quantized.size);
        const plainNorm = right(openCheckpoint(directory)).tensors.get("model.norm.weight")!;
        assert.equal(
          readTensor(plainNorm),
          readTensor(right(openCheckpoint(base)).tensors.get("model.norm.weight")!),
        );
      }
    }));
}

test("encoding again needs weights that were in NVFP4", () =>
  inDirectory(async (folder) => {
    await withTraining(tied, async (model, _, weights) => {
      right(await writeAdapter({ directory: folder, model }));
      const { config } = right(readCheckpointWeights(tied));
      const opened = right(openAdapter(folder, config));
      assert.throws(
        () => mergedModel({ ...opened, config, weights, format: "modelopt" }),
        "[merge] only weights in NVFP4 are encoded again; given a model without any; merge into plain weights, and run weft quantize on the result",
      );
      assert.throws(() => model.quantized("modelopt"), /only weights in NVFP4 are encoded again/);
    });
  }));

test.run();
