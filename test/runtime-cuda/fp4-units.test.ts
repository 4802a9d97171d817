/**
 * Products of two NVFP4 matrices by units for FP4, as far as it can be seen without such a unit: the simulator's library
 * multiplies the very bytes that units would read, and a device that lacks them, or a library for them, is refused.
 */

import { type CudaPlan, compile, emitCuda, interpret } from "@weft/compiler";
import { assertOutputsClose, type GraphValues, randomNumbers } from "@weft/compiler/testing";
import { orThrow, type TensorArray } from "@weft/dsl";
import {
  type OpenSimulatorOptions,
  openGpu,
  openSimulator,
  type RecordingOptions,
  recordingDevice,
} from "@weft/runtime-cuda";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { addon } from "../../packages/runtime-cuda/src/addon.ts";
import { randomSource } from "../runtime-cpu/compare.ts";
import { leaves, mutate, valueAt } from "../support/damage.ts";
import { fp4Block, fp4Product } from "../support/fp4-graphs.ts";
import { nearestNvfp4 } from "../support/nvfp4-values.ts";
import { randomValues } from "../support/random-values.ts";
import { weightsOf } from "../support/run-plan.ts";

const test = suite("units for FP4");

const [rows, length] = [200, 48];
const able: OpenSimulatorOptions = {
  fp4: "hardware",
  matmulLibrary: "auto",
  computeCapability: 100,
  overlapLaunches: true,
};

/** Elements that codes mean with a scale of 1, so that sums of a few are exact in every order. */
function exactElements(count: number, seed: number): Float64Array {
  const next = randomNumbers(seed);
  const values = Float64Array.from(
    { length: count },
    () => [-4, -2, -1, 0, 1, 2, 3, 6][Math.floor(next() * 8)]!,
  );
  for (let at = 0; at < count; at += 16) values[at] = 6;
  return values;
}

for (const policy of ["bf16", "f32"] as const)
  test(`a block in ${policy}: the emulated one to the bit, and the interpreter's, whatever the rows`, async () => {
    const { plan, compiled } = orThrow(compile([fp4Block("block", rows, { policy })], { name: policy }));
    const { graph } = compiled[0]!.fused;
    const { weights } = randomValues(graph, 5);
    let seed = 1;
    for (const one of weights.values())
      if (one.dtype === "nvfp4") one.data.set(nearestNvfp4(exactElements(one.data.length, seed++)));
    const valuesOf = (seq: number): GraphValues => {
      const axes = [
        { name: "seq", size: seq },
        { name: "hidden", size: length },
      ];
      const input: TensorArray = { dtype: "f32", axes, data: exactElements(seq * length, 9) };
      return {
        symbols: new Map([["seq", seq]]),
        inputs: new Map([["input", input]]),
        weights,
        parameters: (name) => weights.get(name),
      };
    };
    using hardware = await openSimulator(able);
    using emulated = await openSimulator({ overlapLaunches: true });
    using fast = await hardware.load(plan, weightsOf(valuesOf(1)));
    using slow = await emulated.load(plan, weightsOf(valuesOf(1)));
    assert.equal(
      fast.matmulSteps.map(({ by, reason }) => `${by}: ${reason}`),
      Array.from({ length: 2 }, () => "library: from 128 rows on, in units for FP4"),
    );
    assert.equal(fast.memory(), hardware.predictMemory(plan));
    for (const seq of [200, 129, 128, 5]) {
      const values = valuesOf(seq);
      const inputs = { input: Float32Array.from(values.inputs.get("input")!.data) };
      const [ours, theirs] = [
        await fast.run("block", { symbols: { seq }, inputs }),
        await slow.run("block", { symbols: { seq }, inputs }),
      ];
      const [name] = Object.keys(ours.outputs) as [string];
      assert.equal(ours.outputs[name], theirs.outputs[name], `${seq} rows`);
      const expected = interpret(graph, values);
      const { axes } = expected.get(name)!;
      const data = Float64Array.from(ours.outputs[name]!);
      assertOutputsClose(new Map([[name, { dtype: "f32", axes, data }]]), expected, {
        absolute: 2e-5,
        relative: 2e-5,
      });
    }
  });

const { plan } = orThrow(
  compile([fp4Product("main", { rows: 128, columns: 24, length })], { name: "one product" }),
);
const cuda = emitCuda(plan, { fp4: "hardware" });
const weights = weightsOf(randomValues(fp4Product("main", { rows: 128, columns: 24, length }).graph, 5));
const record = ({
  facts,
  cudaPlan = cuda,
  ...options
}: Partial<RecordingOptions> & { cudaPlan?: CudaPlan } = {}) =>
  recordingDevice({
    prepare: async () => ({ cudaPlan, images: [new Uint8Array(4)] }),
    emit: () => cudaPlan,
    matmulLibrary: "auto",
    facts: { computeCapability: 100, ...facts },
    memoryLimitBytes: 2 ** 28,
    ...options,
  });
const refusalOf = async (options: Parameters<typeof record>[0]) => {
  using device = await record(options);
  return await device.load(plan, weights).then(
    () => "none",
    (error: Error) => error.message,
  );
};

test("what the library is asked for: both operands in scratch, with their scales", async () => {
  using device = await record();
  using executable = await device.load(plan, weights);
  device.takeCalls();
  await executable.run("main", { symbols: {}, inputs: { x: new Float32Array(128 * length) } });
  const { calls } = device.takeCalls();
  const work = calls.filter(({ name }) => name === "launch" || name === "multiply");
  assert.equal(
    work.map(({ name, text, contracted }) =>
      name === "launch" ? text!.split(" ")[0]!.split("_").at(-1) : contracted,
    ),
    ["fp4x", "fp4w0", 64],
  );
  const [product] = cuda.programs[0]!.librarySteps[0]!.products;
  const scratch = work[0]!.words![2]!;
  const words = work[2]!.words!;
  assert.equal(
    [words[0], words[1], words[2], words[3], ...words.slice(13)],
    [
      ...[scratch + product!.x.offset / 2, 64, scratch + product!.weight.offset / 2, 64, 1],
      ...[scratch + product!.scales[0]!.x, scratch + product!.scales[0]!.weight],
    ],
  );
});

test("GPUs without such units, or without a library for them, refuse the plan with the remedy", async () => {
  assert.is(await refusalOf({}), "none");
  assert.is(await refusalOf({ facts: { computeCapability: 121 } }), "none");
  const remedy = /load it with fp4 "emulated" \(compile it without --fp4 hardware\)/;
  const cases: readonly [Parameters<typeof record>[0], RegExp][] = [
    [
      { facts: { computeCapability: 90 } },
      /recorded GPU has compute capability 9\.0, units for FP4 begin with 10\.0/,
    ],
    [{ matmulLibrary: "own" }, /opened without a library of matrix products/],
    [{ faults: [{ call: "open_matmul_library", status: 1 }] }, /open_matmul_library must succeed; status 1/],
    [
      { faults: [{ call: "prepare_matmul", status: 15 }] },
      /prepare_matmul must succeed; status 15; product with a weight/,
    ],
  ];
  for (const [options, pattern] of cases) {
    const refusal = await refusalOf(options);
    assert.match(refusal, pattern);
    assert.match(refusal, remedy);
  }
  using without = await recordingDevice({
    prepare: async () => ({ cudaPlan: cuda, images: [] }),
    emit: () => emitCuda(plan),
  });
  const least = without.predictMemory(plan).total;
  // There is no other way that would fit.
  assert.match(await refusalOf({ memoryLimitBytes: least }), /needs \d+ bytes, the limit is/);
});

test("a number of rows that the library refuses ends the run, with the product; nothing stands in", async () => {
  const block = fp4Block("block", rows);
  const { plan, compiled } = orThrow(compile([block], { name: "block" }));
  // Two shapes are asked about at load; the third is the first of a run's.
  using device = await recordingDevice({
    prepare: async (given) => ({
      cudaPlan: emitCuda(given, { fp4: "hardware" }),
      images: [new Uint8Array(4)],
    }),
    matmulLibrary: "auto",
    facts: { computeCapability: 100 },
    faults: [{ call: "prepare_matmul", at: 3, status: 15 }],
  });
  using executable = await device.load(plan, weightsOf(randomValues(compiled[0]!.fused.graph, 5)));
  const run = (seq: number) =>
    executable.run("block", { symbols: { seq }, inputs: { input: new Float32Array(seq * length) } }).then(
      () => "none",
      (error: Error) => error.message,
    );
  assert.match(
    await run(130),
    /prepare_matmul must succeed; status 15; product with a weight in scratch \(.*step 0 of block.*\), 130 rows in FP4 units/,
  );
  assert.is(await run(20), "none");
  assert.is(await run(131), "none");
});

test("before anything is compiled: a target without such units, and options that are none", async () => {
  const refusal = async (options: OpenSimulatorOptions) => {
    const opened = openSimulator(options).then(async (device) => {
      using own = device;
      using _ = await own.load(plan, weights);
      return "none";
    });
    return opened.catch((error: Error) => error.message);
  };
  assert.match(
    await refusal({ ...able, computeCapability: 90 }),
    /\[fp4\] the target must have units that multiply FP4: sm_100a, sm_120a, sm_121a; given sm_90a; .*leave fp4 "hardware" out/,
  );
  assert.match(await refusal({ fp4: "fast" as never }), /fp4 must be "emulated" or "hardware"; given fast/);
  const compiled = { directory: "" } as never;
  const opened = await openGpu({ compiled, fp4: "hardware" }).catch((error: Error) => error.message);
  assert.match(
    String(opened),
    /fp4 must be left out for kernels that were compiled before; .*weft compile --fp4/,
  );
});

const broken: readonly [
  string,
  (product: CudaPlan["programs"][0]["librarySteps"][0]["products"][0]) => unknown,
  RegExp,
][] = [
  ["no scales", (one) => (one.scales = []), /must be of bf16 matrices/],
  ["two scales", (one) => one.scales.push({ ...one.scales[0]! }), /scales: must be one or none/],
  [
    "bf16 with scales",
    (one) => (one.x.dtype = "bf16"),
    /must be of nvfp4 matrices, because it has block scales/,
  ],
  [
    "scales past the end",
    (one) => (one.scales[0]!.x = 2 ** 30),
    /scales\[0\]\.x: goes past the \d+ bytes of scratch/,
  ],
  ["scales in front", (one) => (one.scales[0]!.weight = -512), /scales\[0\]\.weight: must be 0 to 2\^46/],
  [
    "scales out of step",
    (one) => (one.scales[0]!.weight += 8),
    /scales\[0\]\.weight: .* a multiple of 16 bytes/,
  ],
  ["half a group", (one) => (one.contracted.constant = 48), /must contract a constant multiple of 32/],
  ["across", (one) => (one.isXTransposed = true), /along the rows of both/],
  [
    "codes in tiles",
    (one) => (one.weight.buffer = plan.buffers.findIndex(({ name }) => name === "w")),
    /must be scratch for a matrix of nvfp4/,
  ],
  ["codes past the end", (one) => (one.x.offset = 2 ** 30), /x: goes past the \d+ bytes of scratch/],
  ["rows out of step", (one) => (one.x.stride = 80), /x\.stride: .* a multiple of 16 bytes/],
];

test("steps that do not fit are refused by name", async () => {
  assert.equal(addon().echoCudaPlan(cuda), JSON.parse(JSON.stringify(cuda)));
  for (const [name, change, pattern] of broken) {
    const cudaPlan = structuredClone(cuda);
    change(cudaPlan.programs[0]!.librarySteps[0]!.products[0]!);
    assert.match(await refusalOf({ cudaPlan }), pattern, name);
  }
});

test("steps damaged at random: each loads and runs, or is an error", async () => {
  const random = randomSource(Number(process.env.WEFT_FUZZ_SEED ?? 7));
  const inside = leaves(cuda).filter((path) => path.includes("librarySteps"));
  const numbers = inside.filter((path) => typeof valueAt(cuda, path) === "number");
  const counts = { ran: 0, refused: 0 };
  for (let i = 0; i < Number(process.env.WEFT_FUZZ_CASES ?? 200); i++) {
    const cudaPlan = structuredClone(cuda);
    mutate(cudaPlan, random() < 0.8 ? numbers : inside, random);
    using device = await record({ cudaPlan });
    try {
      using executable = await device.load(plan, weights);
      await executable.run("main", { symbols: {}, inputs: { x: new Float32Array(128 * length) } });
      counts.ran++;
    } catch (error) {
      // The recorder refuses what lies outside of all allocations.
      assert.not.match(String(error), /multiply must succeed/, JSON.stringify(cudaPlan.programs));
      counts.refused++;
    }
  }
  assert.ok(counts.ran > 0 && counts.refused > 0, JSON.stringify(counts));
});

test.run();
