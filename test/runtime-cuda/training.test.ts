/**
 * Loss and gradients of a whole model in bf16 on the simulated GPU, beside the CPU, and that mistakes of the kernels would be
 * found here. In f32 the tests of the model under training run there.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { emitCuda, type Plan, preludeFolder } from "@weft/compiler";
import {
  batchOf,
  compileTrainingModel,
  initialWeights,
  openTrainingModel,
  type TrainingOptions,
} from "@weft/qwen3";
import type { Device } from "@weft/runtime";
import { cpuDevice } from "@weft/runtime-cpu";
import { compileForHost, findHostCompiler, openSimulator, simulatedDevice } from "@weft/runtime-cuda";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { rootMeanSquareDifference } from "../support/largest-difference.ts";
import { configOf } from "../support/qwen3-config.ts";

const test = suite("training on cuda-sim");

const config = configOf({
  hidden: 48,
  layers: 1,
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

async function gradientsOn(device: Device) {
  using model = await openTrainingModel(config, weights, device, options);
  return await model.gradients(batch);
}

type Gradients = ReadonlyMap<string, Float32Array>;

/** The gradient that differs most, by its share of the size of what is expected. */
function worstOf(actual: Gradients, expected: Gradients): { readonly name: string; readonly share: number } {
  const shares = [...expected].map(([name, values]) => {
    const size = rootMeanSquareDifference([values]);
    assert.ok(size > 0, `${name} is nothing but zeros`);
    return { name, share: rootMeanSquareDifference([actual.get(name)!], [values]) / size };
  });
  return shares.reduce((worst, one) => (one.share <= worst.share ? worst : one));
}

const options: TrainingOptions = { sequence: 40, policy: "bf16", programs: ["gradients"], lossChunk: 16 };
/** Row `devices-bf16` of docs/numerics.md. */
const devicesShare = 1e-2;

test("loss and every gradient, in chunks and on tensor cores", async () => {
  const { source } = emitCuda(compileTrainingModel(config, weights, options).plan).modules[0]!;
  assert.ok(/mma_tile</.test(source) && /key_gradients_flash</.test(source));
  assert.not.match(source, /plain_tile</);
  using cpu = cpuDevice({ threads: 2 });
  using gpu = await openSimulator();
  const [expected, actual] = [await gradientsOn(cpu), await gradientsOn(gpu)];
  assert.ok(Math.abs(actual.loss / expected.loss - 1) < devicesShare, `${actual.loss}, not ${expected.loss}`);
  assert.is(expected.gradients.size, 13);
  const { name, share } = worstOf(actual.gradients, expected.gradients);
  assert.ok(share < devicesShare, `${name} differs by ${share} of its size`);
});

/** What stands in a prelude file, what is planted there, and how it shows: a message, or wrong values. */
const faults: Readonly<Record<string, readonly [string, string, string, RegExp]>> = {
  "the tile that others still read is fetched over": [
    "flash_training.cuh",
    "    flash_values<S>(of_key, slopes, shared, base);\n    // The next but one tile comes where this one lies.\n    sync_block();",
    "    flash_values<S>(of_key, slopes, shared, base);",
    /race/,
  ],
  "keys of the document in front are seen": [
    "flash_training.cuh",
    " && key >= load(firsts, S::keys * slot + column)",
    "",
    /^model\.layers\.0\.self_attn\.[kv]_\S+ differs/,
  ],
};

for (const [name, [file, text, planted, wanted]] of Object.entries(faults))
  test(`found: ${name}`, async () => {
    const folder = mkdtempSync(join(tmpdir(), "weft-planted-"));
    try {
      const sound = readFileSync(join(preludeFolder, file), "utf8");
      assert.is(sound.split(text).length, 2, `${file} has the text once`);
      writeFileSync(join(folder, file), sound.replace(text, planted));
      const prepare = async (plan: Plan) => {
        const cudaPlan = emitCuda(plan);
        const compiler = await findHostCompiler();
        const { source } = cudaPlan.modules[0]!;
        const module = { file: "kernels.cu", source, includeFolders: [folder, preludeFolder] };
        return { cudaPlan, images: [await compileForHost(module, compiler)] };
      };
      using cpu = cpuDevice({ threads: 2 });
      using gpu = await simulatedDevice({ prepare });
      const expected = await gradientsOn(cpu);
      const found = await gradientsOn(gpu).then(
        ({ gradients }) => {
          const { name: parameter, share } = worstOf(gradients, expected.gradients);
          return share < devicesShare ? "nothing" : `${parameter} differs by ${share} of its size`;
        },
        (error: Error) => error.message,
      );
      assert.match(found, wanted);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

test.run();
