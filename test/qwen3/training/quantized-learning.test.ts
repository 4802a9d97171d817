/** What is learnt through NVFP4 is what f32 learns; small learning rates keep their effect. */
import { join } from "node:path";
import { decodeE4m3, encodeNvfp4 } from "@weft/dsl";
import {
  batchOf,
  openTrainingModel,
  readCheckpointWeights,
  type TrainingBatch,
  type TrainingModel,
  type TrainingOptions,
} from "@weft/qwen3";
import { cpuDevice } from "@weft/runtime-cpu";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { fixtures, inDirectory, right } from "../weights/files.ts";
import { runOptions } from "./run.ts";

const test = suite("learning in NVFP4");
const { config, weights } = right(readCheckpointWeights(join(fixtures, "tiny")));

async function withModel<A>(
  how: Partial<TrainingOptions>,
  work: (model: TrainingModel) => Promise<A>,
): Promise<A> {
  using device = cpuDevice({ threads: 1 });
  using model = await openTrainingModel(config, weights, device, { sequence: 32, ...how });
  return await work(model);
}

test("the loss that is reached is that of f32 within 5 %", () =>
  inDirectory(async (folder) => {
    const { data } = await runOptions(folder);
    const batches: TrainingBatch[] = [];
    for (const one of data.once()) batches.push(one);
    const steps = 120;
    const learnt = (quantize: TrainingOptions["quantize"]) =>
      withModel(quantize === undefined ? {} : { quantize }, async (model) => {
        const losses: number[] = [];
        for (let step = 0; step < steps; step++) {
          const { loss } = await model.step(batches[step % batches.length]!, { learningRate: 2e-3 });
          losses.push(loss);
        }
        return { first: losses[0]!, last: losses.slice(-20).reduce((sum, loss) => sum + loss, 0) / 20 };
      });
    const [plain, quantized] = [await learnt(undefined), await learnt({})];
    assert.ok(plain.last < 0.5 * plain.first);
    assert.ok(quantized.last <= 1.05 * plain.last, `${quantized.last} and ${plain.last}`);
  }));

test("a thousand updates, each far below the step of a code, move codes as f32 moves weights", async () => {
  const batch = batchOf([{ tokens: [5, 17, 3, 44, 21, 8, 9, 10, 11] }]);
  const name = "model.layers.1.mlp.up_proj.weight";
  const learningRate = 1e-6;
  const moved = (quantize: TrainingOptions["quantize"]) =>
    withModel(
      {
        trainable: (one) => one.startsWith("model.layers.1.mlp.") && one.endsWith("_proj.weight"),
        ...(quantize === undefined ? {} : { quantize }),
      },
      async (model) => {
        const values = async () => (await model.parameter(name)) as Float32Array;
        const blocks = async () => (quantize === undefined ? undefined : await model.blocks(name));
        const begin = { weight: await values(), blocks: await blocks(), ...(await model.loss(batch)) };
        let one = begin.weight;
        for (let step = 0; step < 1000; step++) {
          await model.step(batch, { learningRate, weightDecay: 0 });
          if (step === 0) one = await values();
        }
        const end = { weight: await values(), blocks: await blocks(), ...(await model.loss(batch)) };
        const largest = (to: Float32Array) =>
          to.reduce((most, value, at) => Math.max(most, Math.abs(value - begin.weight[at]!)), 0);
        const mean = end.weight.reduce((sum, value, at) => sum + Math.abs(value - begin.weight[at]!), 0);
        return {
          begin,
          end,
          oneUpdate: largest(one),
          mean: mean / one.length,
          fall: begin.loss - end.loss,
        };
      },
    );
  const [plain, quantized] = [await moved(undefined), await moved({})];
  const { codes, scales, encodeScale } = quantized.begin.blocks!;
  // From one magnitude to the next it is half a unit at least.
  const finestStep = (0.5 * decodeE4m3(Math.min(...scales))) / encodeScale;
  assert.ok(quantized.oneUpdate < finestStep / 10_000, `${quantized.oneUpdate} and ${finestStep}`);
  assert.ok(Math.abs(quantized.mean / plain.mean - 1) < 0.05, `${quantized.mean} and ${plain.mean}`);
  const codesMoved = (other: Uint8Array) =>
    codes.reduce((sum, pair, at) => {
      const changed = pair ^ other[at]!;
      return sum + Number((changed & 15) !== 0) + Number(changed >> 4 !== 0);
    }, 0);
  const own = codesMoved(quantized.end.blocks!.codes);
  const expected = codesMoved(encodeNvfp4(plain.end.weight, { encodeScale }).codes);
  assert.ok(expected > 0.02 * 2 * codes.length, String(expected));
  assert.ok(Math.abs(own / expected - 1) < 0.15, `${own} codes and ${expected}`);
  assert.ok(quantized.fall > 0.8 * plain.fall, `${quantized.fall} and ${plain.fall}`);
});

test.run();
