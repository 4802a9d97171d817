/** A Qwen3 under the training loop: resumption to the bit, and the export as an ordinary checkpoint. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  exportHuggingFace,
  filesBeside,
  openQwen3,
  openTrainingModel,
  readCheckpointWeights,
  TrainableModel,
  type TrainingOptions,
  train,
} from "@weft/qwen3";
import { cpuDevice } from "@weft/runtime-cpu";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { fixtures, inDirectory, right } from "../weights/files.ts";
import { runOptions } from "./run.ts";

const test = suite("trainable model");
const tiny = join(fixtures, "tiny");

async function withModel<A>(
  trainable: (name: string) => boolean,
  work: (model: TrainableModel) => Promise<A>,
  how: Pick<TrainingOptions, "rule" | "trainedDtype" | "policy" | "moments"> = {},
): Promise<A> {
  const { config, weights } = right(readCheckpointWeights(tiny));
  using device = cpuDevice({ threads: 2 });
  using model = await openTrainingModel(config, weights, device, {
    sequence: 32,
    trainable,
    programs: ["train", "accumulate", "update", "loss"],
    generation: { capacity: 32, chunk: 32, logits: "all" },
    ...how,
  });
  return await work(new TrainableModel(model, (name) => weights[name], { maxNorm: 1 }));
}

const fewRates = { learningRate: (step: number) => 1e-3 / step, checkpoints: { everySteps: 3 } };

for (const [what, trainable, how] of [
  ["all parameters", () => true, {}],
  ["the last layer", (name: string) => name.startsWith("model.layers.1."), {}],
  ["bf16 weights", () => true, { trainedDtype: "bf16", policy: "bf16" }],
  ["SGD", () => true, { rule: "sgd" }],
  ["moments in NVFP4", () => true, { moments: "nvfp4" }],
  ["moments in int8 beside bf16 weights", () => true, { moments: "int8", trainedDtype: "bf16" }],
] as const) {
  test(`${what}: six steps are three steps, a checkpoint and three more, bit for bit`, () =>
    inDirectory(async (folder) => {
      const run = async (name: string, steps: number, resume: boolean) =>
        withModel(
          trainable,
          async (model) => {
            const options = await runOptions(join(folder), { ...fewRates, steps, resume });
            return right(await train({ ...options, folder: join(folder, name), model }));
          },
          how,
        );
      const whole = await run("whole", 6, false);
      await run("parts", 3, false);
      const parts = await run("parts", 6, true);
      assert.is(parts.loss, whole.loss);
      for (const file of ["model.safetensors", "optimizer.safetensors"]) {
        const [one, two] = [whole, parts].map(({ checkpoint }) => readFileSync(join(checkpoint, file)));
        assert.ok(one!.equals(two!), file);
      }
    }));
}

test("the export opens, generates, and has the logits of the training plan", () =>
  inDirectory(async (folder) => {
    const directory = join(folder, "model");
    const tokens = [5, 17, 3, 44, 21, 8];
    const { config, weights } = right(readCheckpointWeights(tiny));
    using device = cpuDevice({ threads: 2 });
    using training = await openTrainingModel(config, weights, device, {
      sequence: 32,
      programs: ["train", "accumulate", "update", "loss"],
      generation: { capacity: 32, chunk: 32, logits: "all" },
    });
    const model = new TrainableModel(training, (name) => weights[name]);
    const options = await runOptions(folder, { ...fewRates, steps: 3 });
    right(await train({ ...options, model }));
    const symbols = { seq: tokens.length, past: 0, dropped: 0, length: 0 };
    const { outputs } = await training.executable.run("prefill", {
      symbols,
      inputs: { tokens: Int32Array.from(tokens) },
    });
    right(await exportHuggingFace({ directory, model, copy: filesBeside(tiny) }));
    using opened = await openQwen3(directory, { capacity: 32, dtype: "f32", logits: "all" });
    const again = await opened.executable.run("prefill", {
      symbols: { seq: tokens.length, past: 0, dropped: 0 },
      inputs: { tokens: Int32Array.from(tokens) },
    });
    assert.is(again.outputs.logits!.length, outputs.logits!.length);
    outputs.logits!.forEach((value, at) => {
      assert.ok(Math.abs(value - again.outputs.logits![at]!) < 1e-5, `logit ${at}`);
    });
  }));

test("memory by purpose adds up, and another model's frozen weights are refused", () =>
  withModel(
    (name) => name.startsWith("model.layers.1."),
    async (model) => {
      const { total, ...parts } = model.memory();
      assert.is(
        Object.values(parts).reduce((sum, bytes) => sum + bytes, 0),
        total,
      );
      const name = "model.norm.weight";
      await model.writeState(name, await model.readState(name));
      const message = await model.writeState(name, new Uint8Array(256)).then(
        () => "",
        (error: Error) => error.message,
      );
      assert.is(
        message,
        "[training] a parameter that is not trained must be as it was saved; given other values; at model.norm.weight; resume with the model that the run began with",
      );
    },
  ));

test.run();
