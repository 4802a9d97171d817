/** Loss and gradients of a whole model on the simulated GPU, beside the CPU: in f32, and in bf16 with tensor cores. */
import { emitCuda } from "@weft/compiler";
import {
  batchOf,
  compileTrainingModel,
  initialWeights,
  openTrainingModel,
  type TrainingOptions,
} from "@weft/qwen3";
import type { Device } from "@weft/runtime";
import { cpuDevice } from "@weft/runtime-cpu";
import { openSimulator } from "@weft/runtime-cuda";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { rootMeanSquareDifference } from "../support/largest-difference.ts";
import { configOf } from "../support/qwen3-config.ts";

const test = suite("training on cuda-sim");

const config = configOf({
  hidden: 48,
  layers: 2,
  heads: 4,
  kvHeads: 2,
  headDim: 16,
  intermediate: 40,
  vocab: 56,
});
const weights = initialWeights(config, { seed: 3 });
/** Two documents that no tile divides. */
const batch = batchOf(
  [19, 14].map((length, index) => ({
    tokens: Array.from({ length }, (_, at) => (at * 7 + index * 3 + 1) % 56),
  })),
);

async function gradientsOn(device: Device, options: TrainingOptions) {
  using model = await openTrainingModel(config, weights, device, options);
  return await model.gradients(batch);
}

for (const [policy, most] of [
  ["f32", 1e-4],
  // Row `devices-bf16` of docs/numerics.md.
  ["bf16", 1e-2],
] as const)
  test(`loss and every gradient in ${policy}, the loss in chunks`, async () => {
    const options: TrainingOptions = { sequence: 40, policy, programs: ["gradients"], lossChunk: 16 };
    const { source } = emitCuda(compileTrainingModel(config, weights, options).plan).modules[0]!;
    assert.is(/mma_tile</.test(source) && /key_gradients_flash</.test(source), policy === "bf16");
    using cpu = cpuDevice({ threads: 2 });
    using gpu = await openSimulator({ matmulLibrary: "own" });
    const [expected, actual] = [await gradientsOn(cpu, options), await gradientsOn(gpu, options)];
    assert.ok(Math.abs(actual.loss / expected.loss - 1) < most, `${actual.loss}, expected ${expected.loss}`);
    assert.ok(expected.gradients.size > 20);
    for (const [name, values] of expected.gradients) {
      const size = rootMeanSquareDifference([values]);
      const share = rootMeanSquareDifference([actual.gradients.get(name)!], [values]) / size;
      assert.ok(size > 0 && share < most, `${name} differs by ${share} of its size`);
    }
  });

test.run();
