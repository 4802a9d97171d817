/** Training through NVFP4: blocks are those of the weights, runs go on to the bit, an export is what was trained. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { encodeNvfp4 } from "@weft/dsl";
import {
  batchOf,
  bfloat16ToFloat32,
  compileTrainingModel,
  exportHuggingFace,
  filesBeside,
  openQwen3,
  openTrainingModel,
  readCheckpointWeights,
  TrainableModel,
  type TrainingModel,
  type TrainingOptions,
  train,
} from "@weft/qwen3";
import { cpuDevice } from "@weft/runtime-cpu";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { fixtures, inDirectory, right } from "../weights/files.ts";
import { runOptions } from "./run.ts";

const test = suite("training in NVFP4");
const tiny = join(fixtures, "tiny");
const { config, weights } = right(readCheckpointWeights(tiny));
const options = {
  sequence: 32,
  programs: ["train", "accumulate", "update", "loss"],
  generation: { capacity: 32, chunk: 32, logits: "all" },
} as const satisfies TrainingOptions;
const plans = new Map<string, ReturnType<typeof compileTrainingModel>>();

type How = Pick<TrainingOptions, "quantize" | "trainedDtype" | "policy" | "trainable">;

async function withModel<A>(how: How, work: (model: TrainingModel) => Promise<A>): Promise<A> {
  const key = JSON.stringify({ ...how, trainable: how.trainable?.toString() });
  const compiled =
    plans.get(key) ?? compileTrainingModel(config, (name) => weights[name], { ...options, ...how });
  plans.set(key, compiled);
  using device = cpuDevice({ threads: 2 });
  using model = await openTrainingModel(config, weights, device, { ...options, ...how }, compiled);
  return await work(model);
}

const trainable = (model: TrainingModel) => new TrainableModel(model, (name) => weights[name]);
const batch = batchOf([{ tokens: [5, 17, 3, 44, 21, 8, 9, 10, 11] }]);

/** Bytes of everything that products read of the quantised weights. */
async function allBlocks(model: TrainingModel): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for (const name of model.quantized) {
    const { codes, scales, encodeScale } = await model.blocks(name);
    const [largest] = await model.executable.readState(`optimizer.largest.${name}`);
    const [decode] = await model.executable.readState(`${name}.tensor_scale`);
    parts.push(codes, scales, new Uint8Array(Float32Array.of(encodeScale, largest!, decode!).buffer));
  }
  return Buffer.concat(parts);
}

/** The blocks that the definition makes of the weights as they are, by the scale that is there. */
async function definedBlocks(model: TrainingModel, name: string, fourOverSix: boolean) {
  const stored = await model.parameter(name);
  const values = stored instanceof Uint16Array ? bfloat16ToFloat32(stored) : Float32Array.from(stored);
  const { codes, scales, encodeScale } = await model.blocks(name);
  const defined = encodeNvfp4(values, { encodeScale, fourOverSix });
  return { codes, scales, defined, values, encodeScale };
}

for (const [what, how] of [
  ["f32 weights", { quantize: {} }],
  ["bf16 weights, four over six", { quantize: { fourOverSix: true }, trainedDtype: "bf16", policy: "bf16" }],
] as const) {
  test(`${what}: blocks are the weights' own behind every update, by the definition`, () =>
    withModel(how, async (model) => {
      assert.is(model.quantized.length, 14);
      const learningRate = 0.01;
      await model.step(batch, { learningRate });
      await model.step([batch, batch], { learningRate });
      for (const name of model.quantized) {
        const { codes, scales, defined } = await definedBlocks(model, name, model.fourOverSix);
        assert.ok(Buffer.from(codes).equals(Buffer.from(defined.codes)), name);
        assert.ok(Buffer.from(scales).equals(Buffer.from(defined.scales)), name);
      }
    }));

  test(`${what}: six steps are three steps, a checkpoint and three more, bit for bit, blocks included`, () =>
    inDirectory(async (folder) => {
      const run = (name: string, steps: number, resume: boolean) =>
        withModel(how, async (model) => {
          const base = await runOptions(folder, { steps, resume, checkpoints: { everySteps: 3 } });
          const settings = { ...base, learningRate: (step: number) => 1e-2 / step };
          const result = right(
            await train({ ...settings, folder: join(folder, name), model: trainable(model) }),
          );
          return { ...result, blocks: await allBlocks(model) };
        });
      const whole = await run("whole", 6, false);
      await run("parts", 3, false);
      const parts = await run("parts", 6, true);
      assert.is(parts.loss, whole.loss);
      assert.is(parts.evaluationLoss, whole.evaluationLoss);
      assert.ok(parts.blocks.equals(whole.blocks));
      for (const file of ["model.safetensors", "optimizer.safetensors"]) {
        const [one, two] = [whole, parts].map(({ checkpoint }) => readFileSync(join(checkpoint, file)));
        assert.ok(one!.equals(two!), file);
      }
      const refused = await withModel({ ...how, quantize: undefined } as How, async (model) =>
        train({
          ...(await runOptions(folder, { steps: 7, resume: true })),
          folder: join(folder, "parts"),
          model: trainable(model),
        }),
      );
      assert.match(JSON.stringify(refused), /optimizer\.nvfp4 must be as in the checkpoint/);
    }));
}

test("a step that is left out changes neither weights nor blocks", () =>
  withModel({ quantize: {} }, async (model) => {
    await model.step(batch, { learningRate: 0.02 });
    const before = await allBlocks(model);
    const norm = "model.norm.weight";
    const sound = await model.parameter(norm);
    await model.writeState(norm, new Float32Array(sound.length).fill(Number.NaN));
    const { skipped } = await model.step(batch, { learningRate: 0.02 });
    assert.ok(skipped);
    assert.ok(before.equals(await allBlocks(model)));
    await model.writeState(norm, sound);
    assert.not((await model.step(batch, { learningRate: 0.02 })).skipped);
    assert.not(before.equals(await allBlocks(model)));
  }));

test("a written weight has blocks of its own before anything reads it", () =>
  withModel({ quantize: {} }, async (model) => {
    const name = model.quantized[0]!;
    const { loss } = await model.loss(batch);
    const own = await model.parameter(name);
    const first = await allBlocks(model);
    await model.writeState(
      name,
      (own as Float32Array).map((value) => 3 * value),
    );
    const { codes, defined, encodeScale, values } = await definedBlocks(model, name, false);
    assert.ok(Buffer.from(codes).equals(Buffer.from(defined.codes)));
    assert.is(
      encodeScale,
      Math.fround(2688 / values.reduce((most, one) => Math.max(most, Math.abs(one)), 0)),
    );
    assert.is.not((await model.loss(batch)).loss, loss);
    await model.writeState(name, own);
    assert.is((await model.loss(batch)).loss, loss);
    assert.ok(first.equals(await allBlocks(model)));
  }));

for (const format of ["compressed-tensors", "modelopt"] as const) {
  test(`${format}: the export has the blocks of training, and the logits of its generation to the bit`, () =>
    inDirectory((folder) =>
      withModel({ quantize: { fourOverSix: format === "modelopt" } }, async (model) => {
        for (let step = 0; step < 3; step++) await model.step(batch, { learningRate: 0.01 });
        const inputs = { tokens: Int32Array.from([5, 17, 3, 44, 21, 8]) };
        const symbols = { seq: 6, past: 0, dropped: 0 };
        const { outputs } = await model.executable.run("prefill", {
          symbols: { ...symbols, length: 0 },
          inputs,
        });
        const directory = join(folder, "model");
        const exported = trainable(model).quantized(format);
        right(await exportHuggingFace({ directory, model: exported, copy: filesBeside(tiny) }));
        using opened = await openQwen3(directory, { capacity: 32, dtype: "f32", logits: "all" });
        const kept = opened.plan.buffers.filter(({ dtype }) => dtype === "nvfp4").length;
        assert.is(kept, model.quantized.length);
        const again = await opened.executable.run("prefill", { symbols, inputs });
        assert.is(outputs.logits!.length, 6 * config.vocabSize);
        assert.equal(again.outputs.logits, outputs.logits);
      }),
    ));
}

test("products read blocks and nothing else: no program has a second copy of the weights", () =>
  withModel({ quantize: {} }, async (model) => {
    const { plan } = model.executable;
    const index = (name: string) => plan.buffers.findIndex((one) => one.name === name);
    const shapes = model.quantized.flatMap((name) => {
      const { shape } = plan.buffers[index(name)]!;
      return [shape.join(), [shape.slice(0, -1).reduce((a, b) => a * b, 1), shape.at(-1)].join()];
    });
    for (const { name: program, steps } of plan.programs) {
      const bound = steps.flatMap(({ kernel, bindings }) =>
        bindings.map((buffer, at) => ({ buffer, access: plan.kernels[kernel]!.slots[at]!.access })),
      );
      const accesses = (name: string) =>
        new Set(bound.flatMap(({ buffer, access }) => (buffer === index(name) ? [access] : [])));
      for (const name of model.quantized) {
        assert.ok(accesses(`${name}.nvfp4`).size > 0, `${program} and the blocks of ${name}`);
        // The weight itself is there for the kernel that updates it, and for that which makes its first blocks.
        const own = [...accesses(name)].join();
        if (program === "blocks") assert.is(own, "read");
        else if (["train", "update"].includes(program)) assert.not(accesses(name).has("read"), own);
        else assert.is(own, "", program);
      }
      if (!["prefill", "decode", "loss"].includes(program)) continue;
      const values = bound
        .map(({ buffer }) => plan.buffers[buffer]!)
        .filter(({ class: kind }) => kind === "activations");
      assert.ok(values.length > 0);
      const copies = values.filter(
        ({ shape }) => shape[0] !== options.sequence && shapes.includes(shape.join()),
      );
      assert.equal(copies, []);
    }
  }));

test("memory: 4.5 bits for each quantised weight, and a few single numbers", () =>
  withModel({ quantize: {} }, async (model) => {
    const { plan } = model.executable;
    const elements = model.quantized.reduce((sum, name) => {
      const { shape } = plan.buffers.find((one) => one.class === "state" && one.name === name)!;
      return sum + shape.reduce((a, b) => a * b, 1);
    }, 0);
    const { blocks, total, ...parts } = trainable(model).memory();
    assert.is(blocks, (elements * 9) / 16 + 2 * 4 * model.quantized.length);
    assert.is(
      Object.values(parts).reduce((sum, bytes) => sum + bytes, blocks!),
      total,
    );
  }));

test("what makes no sense is refused, with the remedy", () => {
  const refusal = (how: Partial<TrainingOptions>, shape = config) => {
    try {
      compileTrainingModel(shape, () => undefined, { ...options, quantize: {}, ...how });
    } catch (error) {
      return (error as Error).message;
    }
    throw new Error("was accepted");
  };
  assert.is(
    refusal({ lora: { rank: 2 } }),
    "[training] lora trains adapters in f32, so it cannot be used with quantize; quantise the base where it is read: readCheckpointWeights(directory, { quantize })",
  );
  assert.is(
    refusal({ trainable: (name) => name.endsWith("norm.weight") }),
    "[training] quantize must name a weight that is trained; given none; leave it out, or train linears of the layers",
  );
  assert.match(
    refusal({}, { ...config, intermediateSize: 136 }),
    /^\[training\] a weight in nvfp4 must be a matrix whose rows are multiples of 16 long; given \[64, 136\]; at model\.layers\.0\.mlp\.down_proj\.weight; leave it out by `weights` of quantize/,
  );
});

test.run();
