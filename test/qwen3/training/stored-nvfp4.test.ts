/** Training programs of checkpoints in NVFP4: loss and gradients of what is stored, and runs that begin with its very blocks. */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { encodeNvfp4 } from "@weft/dsl";
import {
  batchOf,
  compileTrainingModel,
  exportHuggingFace,
  filesBeside,
  openCheckpoint,
  openQwen3,
  openTrainingModel,
  type QuantizedFormat,
  quantizeCheckpoint,
  readCheckpointWeights,
  readPart,
  readTensor,
  scaleCodesOf,
  storedWeights,
  TrainableModel,
  type TrainingModel,
  type TrainingOptions,
  train,
} from "@weft/qwen3";
import { cpuDevice } from "@weft/runtime-cpu";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { devicesHere, openDevice } from "../../support/models.ts";
import { takeApart } from "../../support/taken-apart.ts";
import { fixtures, inDirectory, right } from "../weights/files.ts";
import { runOptions } from "./run.ts";

const test = suite("training of checkpoints in NVFP4");
const devices = await devicesHere();
const formats = ["compressed-tensors", "modelopt", "dat"] as const;
const folderOf = (format: string) => join(fixtures, "nvfp4", format);
const batch = batchOf([{ tokens: [5, 17, 3, 44, 21, 8, 60, 2, 33, 12, 7, 19] }]);
const oneProgram = (program: "loss" | "gradients", trainable: boolean): TrainingOptions => ({
  sequence: 16,
  programs: [program],
  trainable: () => trainable,
});

async function withModel<A>(
  directory: string,
  options: TrainingOptions,
  work: (model: TrainingModel, trainable: TrainableModel) => Promise<A>,
): Promise<A> {
  const { config, load } = right(readCheckpointWeights(directory));
  const weights = await load();
  using device = cpuDevice({ threads: 2 });
  using model = await openTrainingModel(config, weights, device, options);
  return await work(model, new TrainableModel(model, (name) => weights[name]));
}

for (const format of formats) {
  test(`${format}: loss and gradients are those of the dequantised checkpoint`, () =>
    inDirectory(async (folder) => {
      await takeApart(folderOf(format), folder);
      const plain = await withModel(folder, oneProgram("gradients", true), (model) => model.gradients(batch));
      const { config, weights } = right(readCheckpointWeights(folderOf(format)));
      const compiled = (["loss", "gradients"] as const).map((program) => {
        const options = oneProgram(program, program === "gradients");
        return { options, plan: compileTrainingModel(config, (name) => weights[name], options) };
      });
      for (const on of devices) {
        using device = await openDevice(on);
        const open = ({ options, plan }: (typeof compiled)[number]) =>
          openTrainingModel(config, weights, device, options, plan);
        using frozen = await open(compiled[0]!);
        using trained = await open(compiled[1]!);
        const { loss } = await frozen.loss(batch);
        const own = await trained.gradients(batch);
        assert.is(own.loss, loss, on);
        assert.ok(Math.abs(loss - plain.loss) < 1e-5 * plain.loss, `${on}: ${loss}, ${plain.loss}`);
        assert.equal([...own.gradients.keys()].sort(), [...plain.gradients.keys()].sort());
        for (const [name, wanted] of plain.gradients) {
          const given = own.gradients.get(name)!;
          assert.is(given.length, wanted.length, name);
          const largest = wanted.reduce((most, one) => Math.max(most, Math.abs(one)), 0);
          assert.ok(largest > 0, name);
          const apart = wanted.reduce((most, one, at) => Math.max(most, Math.abs(one - given[at]!)), 0);
          assert.ok(apart < 2e-5 * largest, `${on}, ${name}: ${apart / largest}`);
        }
        // What does not learn lies there in 4.5 bits, and in no other form.
        const stored = [...right(storedWeights(right(openCheckpoint(folderOf(format))))).linears.keys()];
        const { buffers } = frozen.executable.plan;
        assert.equal(
          buffers.flatMap(({ class: kind, dtype, name }) =>
            dtype === "nvfp4" && kind === "weights" ? [name] : [],
          ),
          stored.sort((a, b) => place(buffers, a) - place(buffers, b)),
        );
        assert.not(buffers.some(({ class: kind }) => kind === "state"));
        // A head in NVFP4 is a product like any other; a plain one goes with its loss, in chunks.
        const isChunked = trained.executable.plan.kernels.some(({ kind }) => kind === "linearCrossEntropy");
        assert.is(isChunked, !stored.includes("lm_head.weight"), on);
        assert.equal([...trained.quantized].sort(), stored.sort());
      }
    }));
}

const place = (buffers: readonly { readonly name: string }[], name: string) =>
  buffers.findIndex((one) => one.name === name);

/** Bytes of each weight in NVFP4 as a file has them, and its two scales. */
async function blocksIn(directory: string) {
  const { linears } = right(storedWeights(right(openCheckpoint(directory))));
  const blocks = new Map<string, { codes: Buffer; scales: Buffer; tensorScale: number; stored?: number }>();
  for (const [name, linear] of linears) {
    blocks.set(name, {
      codes: Buffer.from(await readPart(linear.codes)),
      scales: Buffer.from(right(await scaleCodesOf(linear))),
      tensorScale: linear.tensorScale,
      ...(linear.stored === undefined ? {} : { stored: linear.stored.value }),
    });
  }
  return blocks;
}

async function assertBlocks(
  model: TrainingModel,
  wanted: Awaited<ReturnType<typeof blocksIn>>,
): Promise<void> {
  assert.equal([...model.quantized].sort(), [...wanted.keys()].sort());
  for (const [name, { codes, scales, tensorScale }] of wanted) {
    const own = await model.blocks(name);
    assert.ok(codes.equals(own.codes), name);
    assert.ok(scales.equals(own.scales), name);
    assert.is(own.tensorScale, tensorScale, name);
  }
}

const learning = {
  sequence: 32,
  programs: ["train", "accumulate", "update", "loss"],
  generation: { capacity: 32, chunk: 32, logits: "all" },
} as const satisfies TrainingOptions;

const logitsOf = async ({ executable }: Pick<TrainingModel, "executable">, more = {}) => {
  const tokens = Int32Array.from([5, 17, 3, 44, 21, 8]);
  const symbols = { seq: tokens.length, past: 0, dropped: 0, ...more };
  return (await executable.run("prefill", { symbols, inputs: { tokens } })).outputs.logits;
};

for (const format of formats) {
  test(`${format}: the first blocks are the file's own, the next ones the weights', and exports have them`, () =>
    inDirectory((folder) =>
      withModel(folderOf(format), learning, async (model, trainable) => {
        const wanted = await blocksIn(folderOf(format));
        await assertBlocks(model, wanted);
        const write = async (name: string, written: QuantizedFormat | "plain") => {
          const directory = join(folder, name);
          const exported = written === "plain" ? trainable.merged() : trainable.quantized(written);
          right(await exportHuggingFace({ directory, model: exported, copy: filesBeside(folderOf(format)) }));
          return directory;
        };
        const written = format === "dat" ? "compressed-tensors" : format;
        const copied = await blocksIn(await write("copied", written));
        if (format === "dat") for (const one of wanted.values()) one.stored = 1;
        assert.equal(copied, wanted);
        await model.step(batch, { learningRate: 0.01 });
        await model.step([batch, batch], { learningRate: 0.01 });
        for (const name of model.quantized) {
          const { codes, scales, encodeScale } = await model.blocks(name);
          const own = encodeNvfp4((await model.parameter(name)) as Float32Array, { encodeScale });
          assert.ok(Buffer.from(codes).equals(Buffer.from(own.codes)), name);
          assert.ok(Buffer.from(scales).equals(Buffer.from(own.scales)), name);
        }
        assert.not.equal(await blocksIn(await write("learnt", written)), wanted);
        const logits = await logitsOf(model, { length: 0 });
        const options = { capacity: 32, dtype: "f32", logits: "all", planCache: false } as const;
        using opened = await openQwen3(join(folder, "learnt"), options);
        assert.equal(await logitsOf(opened), logits);
        // The plain export is another model: that of the weights which updates are added to.
        using plain = await openQwen3(await write("plain", "plain"), options);
        assert.not(plain.plan.buffers.some(({ dtype }) => dtype === "nvfp4"));
        const [name] = model.quantized;
        const { tensors } = right(openCheckpoint(join(folder, "plain")));
        assert.equal(readTensor(tensors.get(name!)!), await model.parameter(name!));
      }),
    ));
}

test("blocks of another encoder are taken over, though the values are encoded to others", () =>
  inDirectory(async (folder) => {
    const directory = join(folder, "four-over-six");
    const model = join(fixtures, "tiny-tied");
    right(await quantizeCheckpoint({ model, directory, format: "modelopt", fourOverSix: true }));
    await withModel(directory, learning, async (model) => {
      assert.not(model.fourOverSix);
      await assertBlocks(model, await blocksIn(directory));
      let others = 0;
      for (const name of model.quantized) {
        const { scales, encodeScale } = await model.blocks(name);
        const own = encodeNvfp4((await model.parameter(name)) as Float32Array, { encodeScale });
        if (!Buffer.from(scales).equals(Buffer.from(own.scales))) others++;
      }
      assert.is(others, model.quantized.length);
    });
  }));

for (const [what, how] of [
  ["all weights", {}],
  ["the last layer", { trainable: (name: string) => name.startsWith("model.layers.1.") }],
] as const) {
  test(`${what}: four steps are two, a checkpoint and two more, bit for bit; checkpoints can be opened`, () =>
    inDirectory(async (folder) => {
      const base = folderOf("modelopt");
      const run = (name: string, steps: number, resume: boolean) =>
        withModel(base, { ...learning, ...how }, async (_, model) => {
          const options = await runOptions(folder, {
            ...{ steps, resume, checkpoints: { everySteps: 2, copy: filesBeside(base) } },
            learningRate: (step: number) => 1e-2 / step,
          });
          const result = right(await train({ ...options, folder: join(folder, name), model }));
          const directory = join(folder, `${name}-model`);
          const exported = model.quantized("modelopt");
          right(await exportHuggingFace({ directory, model: exported, copy: filesBeside(base) }));
          return { ...result, directory };
        });
      const whole = await run("whole", 4, false);
      await run("parts", 2, false);
      const parts = await run("parts", 4, true);
      assert.is(parts.loss, whole.loss);
      for (const file of ["model.safetensors", "optimizer.safetensors", "config.json"]) {
        const [one, two] = [whole, parts].map(({ checkpoint }) => readFileSync(join(checkpoint, file)));
        assert.ok(one!.equals(two!), file);
      }
      const isTrained = (name: string) => what === "all weights" || name.startsWith("model.layers.1.");
      const [before, after] = [await blocksIn(base), await blocksIn(parts.directory)];
      assert.equal([...after.keys()].sort(), [...before.keys()].sort());
      for (const [name, blocks] of before) {
        if (isTrained(name)) assert.not.equal(after.get(name), blocks, name);
        else assert.equal(after.get(name), blocks, name);
      }
      const saved = right(readCheckpointWeights(parts.checkpoint));
      for (const name of before.keys())
        assert.is(saved.weights[name]!.dtype, isTrained(name) ? "f32" : "nvfp4", name);
    }));
}

test("block scales that are no numbers are refused where weights are loaded", () =>
  inDirectory(async (folder) => {
    cpSync(folderOf("compressed-tensors"), folder, { recursive: true });
    const { linears } = right(storedWeights(right(openCheckpoint(folder))));
    const { scales } = linears.get("model.layers.1.mlp.up_proj.weight")!;
    const bytes = readFileSync(scales.path);
    bytes[scales.offset + 5] = 0x7f;
    writeFileSync(scales.path, bytes);
    const message = await right(readCheckpointWeights(folder))
      .load()
      .then(() => "loaded", String);
    assert.match(
      message,
      /must be numbers of at least 0; given NaN at row 1, block 1; at model\.layers\.1\.mlp\.up_proj/,
    );
  }));

test("a weight that quantize leaves out is trained plain, with the values of its blocks", () =>
  inDirectory(async (folder) => {
    const format = "modelopt";
    await takeApart(folderOf(format), folder);
    const weights = (name: string) => name.endsWith("q_proj.weight");
    const options: TrainingOptions = { ...oneProgram("gradients", true), quantize: { weights } };
    await withModel(folderOf(format), options, async (model) => {
      assert.is(model.quantized.length, 2);
      const other = "model.layers.0.mlp.up_proj.weight";
      const entry = right(openCheckpoint(folder)).tensors.get(other)!;
      assert.equal(await model.parameter(other), readTensor(entry));
    });
  }));

test.run();
