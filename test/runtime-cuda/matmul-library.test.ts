/** Steps that go by a library of matrix products: what it is asked for, when, what it computes, and who does without. */
import { emitCuda, type Plan, preludeFolder } from "@weft/compiler";
import { orThrow } from "@weft/dsl";
import { compileQwen3 } from "@weft/qwen3";
import type { Executable } from "@weft/runtime";
import { cpuDevice } from "@weft/runtime-cpu";
import {
  compileForHost,
  findHostCompiler,
  type RecordedCall,
  type RecordingOptions,
  recordingDevice,
  simulatedDevice,
} from "@weft/runtime-cuda";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { difference, randomBuffers, weightsOf } from "../runtime-cpu/compare.ts";
import { rootMeanSquareDifference } from "../support/largest-difference.ts";
import {
  crossedInputs,
  crossedPlan,
  crossedRows,
  crossingName,
  crossings,
  gatedPlan,
  hidden,
  inner,
} from "../support/library-graphs.ts";
import { configOf } from "../support/qwen3-config.ts";

const test = suite("matmul library");
/** Row `devices-bf16` of docs/numerics.md. */
const devicesShare = 1e-2;
const workspace = 32 * 2 ** 20;
const vocab = 40;
const config = configOf({
  hidden: 32,
  layers: 2,
  heads: 4,
  kvHeads: 2,
  headDim: 16,
  intermediate: 48,
  vocab,
});
const qwen3 = (logits: "last" | "all") =>
  orThrow(compileQwen3(config, { capacity: 160, chunk: 136, policy: "bf16", storage: () => "bf16", logits }))
    .plan;

const record = (options: Partial<RecordingOptions> = {}) =>
  recordingDevice({
    prepare: async (plan) => ({ cudaPlan: emitCuda(plan), images: [new Uint8Array(4)] }),
    emit: (plan) => emitCuda(plan),
    matmulLibrary: "auto",
    ...options,
  });
const simulate = (options = {}) =>
  simulatedDevice({
    prepare: async (plan: Plan) => {
      const cudaPlan = emitCuda(plan);
      const compiler = await findHostCompiler();
      const images = cudaPlan.modules.map(({ name, source }) =>
        compileForHost({ file: `${name}.cu`, source, includeFolders: [preludeFolder] }, compiler),
      );
      return { cudaPlan, images: await Promise.all(images) };
    },
    ...options,
  });
const work = (calls: readonly RecordedCall[]) =>
  calls.filter(({ name }) => name === "launch" || name === "multiply" || name === "prepare_matmul");
/** `launch k0_x`, `multiply 128 24 16`, captured ones with a star. */
const brief = (calls: readonly RecordedCall[]) =>
  work(calls).map(({ name, text, rows, columns, contracted, isCaptured }) => {
    const what = name === "launch" ? text!.split(" ")[0] : `${rows} ${columns} ${contracted}`;
    return `${name} ${what}${isCaptured === true ? "*" : ""}`;
  });
const tokensRun = (plan: Plan, tokens: readonly number[], past: number) => {
  const program = tokens.length === 1 ? "decode" : "prefill";
  const values: Record<string, number> = { past, seq: tokens.length, dropped: 0, batch: 1 };
  const symbols = Object.fromEntries(
    plan.symbols.filter(({ sum }) => sum.length === 0).map(({ name }) => [name, values[name] ?? 0]),
  );
  const [port] = plan.programs.find(({ name }) => name === program)!.inputs;
  return [program, { symbols, inputs: { [port!.name]: Int32Array.from(tokens) } }] as const;
};
/** The difference as a share of the values, both as root mean squares. */
const share = (got: ArrayLike<number>, wanted: ArrayLike<number>) =>
  rootMeanSquareDifference([got], [wanted]) / rootMeanSquareDifference([wanted]);
const text = (count: number) => Array.from({ length: count }, (_, at) => (at * 7 + 3) % vocab);

const own = ["launch k0_matmul_mul_x", "launch k0_matmul_mul", "launch k1_matmul_add"];
const byLibrary = [
  "launch k0_matmul_mul_x",
  `multiply 128 ${inner} ${hidden}`,
  `multiply 128 ${inner} ${hidden}`,
  "launch k0_matmul_mul_sums0",
  `multiply 128 ${hidden} ${inner}`,
];
const gatedRun = { symbols: {}, inputs: { input: new Float32Array(128 * hidden) } };

test("a step goes by products instead of its launches; what each is given", async () => {
  const { plan, cuda } = gatedPlan(128);
  using device = await record();
  assert.equal(device.matmulLibrary, { found: true, note: "recorded library" });
  const predicted = device.predictMemory(plan);
  using executable = await device.load(plan, weightsOf(plan, randomBuffers(plan, 3)));
  assert.equal(executable.memory(), predicted);
  const loading = device.takeCalls().calls;
  // Each shape is asked about once; gate and up are one shape.
  assert.equal(brief(loading), [
    `prepare_matmul 128 ${inner} ${hidden}`,
    `prepare_matmul 128 ${hidden} ${inner}`,
  ]);
  const allocated = loading.filter(({ name }) => name === "allocate").map(({ bytes }) => bytes);
  assert.ok(allocated.includes(workspace) && allocated.includes(cuda.libraryScratchBytes));
  assert.equal(
    executable.matmulSteps.map(({ program, step, kernel, by, reason }) => [
      program,
      step,
      kernel,
      by,
      reason,
    ]),
    [
      ["main", 0, "matmul_mul", "library", "from 128 rows on"],
      ["main", 1, "matmul_add", "library", "from 128 rows on"],
    ],
  );
  await executable.run("main", gatedRun);
  const { calls } = device.takeCalls();
  assert.equal(brief(calls), byLibrary);
  const [gate, up, down] = calls.filter(({ name }) => name === "multiply");
  assert.match(gate!.text!, /^product with gate\.weight \(kernel matmul_mul, step 0 of main, from /);
  const launches = calls.filter(({ name }) => name === "launch");
  // Args: symbols, scratch, tickets, fault, step, piece, blocks, slots: two words each but for the three numbers.
  const slot = (launch: RecordedCall, index: number) => launch.words![11 + 2 * index]!;
  const [rows, sums] = launches as [RecordedCall, RecordedCall];
  const scratch = rows.words![2]!;
  const [first, second] = cuda.programs[0]!.librarySteps[0]!.products;
  const room = gate!.words![10]!;
  assert.equal(gate!.words, [
    ...[scratch, hidden, slot(rows, 1), hidden, scratch + 4 * first!.out.offset, inner],
    ...[0, 0, 0, 256, room, 0, 0, 0, 0, 0],
  ]);
  assert.equal(up!.words, [
    ...[scratch, hidden, slot(rows, 2), hidden, scratch + 4 * second!.out.offset, inner],
    ...[0, 0, 0, 256, room, 0, 0, 0, 0, 0],
  ]);
  // In place: from where the epilogue wrote, the input added, to the output.
  const [x, xStride, , , out, outStride, addend, addendStride, isNarrow, alignment] = down!.words!;
  assert.equal(
    [x, xStride, addend, addendStride, outStride, isNarrow, alignment],
    [slot(sums, 3), inner, slot(rows, 0), hidden, hidden, 0, 256],
  );
  assert.ok(out !== addend && out !== x);
});

test("products of fixed rows are part of a captured run", async () => {
  const { plan } = gatedPlan(128);
  using device = await record();
  using executable = await device.load(plan, weightsOf(plan, randomBuffers(plan, 3)));
  await executable.run("main", gatedRun);
  device.takeCalls();
  await executable.run("main", gatedRun);
  const { calls } = device.takeCalls();
  assert.equal(
    brief(calls),
    byLibrary.map((one) => `${one}*`),
  );
  await executable.run("main", gatedRun);
  assert.equal(work(device.takeCalls().calls), []);
});

test("the rows of a run decide: few go by the launches, each other number is asked about once", async () => {
  const plan = qwen3("last");
  using device = await record();
  using executable = await device.load(plan, weightsOf(plan, randomBuffers(plan, 3, vocab)));
  device.takeCalls();
  const run = async (count: number) => {
    await executable.run(...tokensRun(plan, text(count), 0));
    const { calls } = device.takeCalls();
    const of = (name: string) => calls.filter((call) => call.name === name);
    return {
      products: of("multiply").map(({ rows }) => rows),
      asked: of("prepare_matmul").map(({ rows, columns, contracted }) => [rows, columns, contracted]),
    };
  };
  assert.equal(await run(127), { products: [], asked: [] });
  // q; k and v; o; gate and up; down; of the last layer, which is computed for one position, k and v.
  const shapes = (rows: number) => [
    [rows, 64, 32],
    [rows, 32, 32],
    [rows, 32, 64],
    [rows, 48, 32],
    [rows, 32, 48],
  ];
  const products = (rows: number) => Array.from({ length: 3 + 1 + 2 + 1 + 2 }, () => rows);
  assert.equal(await run(128), { products: products(128), asked: shapes(128) });
  assert.equal(await run(128), { products: products(128), asked: [] });
  assert.equal(await run(130), { products: products(130), asked: shapes(130) });
  // Asked about when the plan was loaded.
  assert.equal(await run(136), { products: products(136), asked: [] });
  assert.equal(await run(1), { products: [], asked: [] });
});

test("waited for one by one, so that an error names the product that made it", async () => {
  const { plan } = gatedPlan(128);
  using device = await record({ waitForEachLaunch: true });
  using executable = await device.load(plan, weightsOf(plan, randomBuffers(plan, 3)));
  device.takeCalls();
  await executable.run("main", gatedRun);
  const { calls } = device.takeCalls();
  assert.is(calls.filter(({ name }) => name === "query_event").length, byLibrary.length + 1);
});

test("profiles add the products to their steps", async () => {
  const { plan } = gatedPlan(128);
  using device = await record();
  using executable = await device.load(plan, weightsOf(plan, randomBuffers(plan, 3)));
  const { steps } = await executable.profile("main", gatedRun);
  // The recorder's events are a microsecond apart.
  assert.equal(
    steps.map(({ kernel, nanoseconds }) => [kernel, Math.round(nanoseconds / 1000)]),
    [
      ["matmul_mul", 4],
      ["matmul_add", 1],
    ],
  );
});

test("without a library, or without wanting one, steps go by their launches and take no more memory", async () => {
  const { plan } = gatedPlan(128);
  for (const [options, reason] of [
    [{ matmulLibrary: "own" }, /opened without a library of matrix products/],
    [{ faults: [{ call: "open_matmul_library", status: 1 }] }, /open_matmul_library must succeed; status 1/],
  ] as const) {
    using device = await record(options);
    assert.is(device.matmulLibrary.found, false);
    assert.match(device.matmulLibrary.note, reason);
    using executable = await device.load(plan, weightsOf(plan, randomBuffers(plan, 3)));
    for (const { by, reason: told } of executable.matmulSteps) {
      assert.is(by, "own");
      assert.match(told, reason);
    }
    assert.is(executable.matmulSteps.length, 2);
    assert.equal(executable.memory(), device.predictMemory(plan));
    assert.ok(executable.memory().total < workspace);
    device.takeCalls();
    await executable.run("main", gatedRun);
    assert.equal(brief(device.takeCalls().calls), own);
  }
});

test("a plan that fits without the library's scratch is loaded without it", async () => {
  const { plan } = gatedPlan(128);
  const weights = weightsOf(plan, randomBuffers(plan, 3));
  using without = await record({ matmulLibrary: "own" });
  const least = without.predictMemory(plan).total;
  using device = await record({});
  const wanted = device.predictMemory(plan).total;
  assert.ok(wanted > least);
  for (const memoryLimitBytes of [wanted - 1, least]) {
    using executable = await device.load(plan, weights, { memoryLimitBytes });
    assert.is(executable.memory().total, least);
    for (const { by, reason } of executable.matmulSteps) {
      assert.is(by, "own");
      assert.match(reason, new RegExp(`no room for what its way takes, ${wanted - least} bytes`));
    }
  }
  using executable = await device.load(plan, weights, { memoryLimitBytes: wanted });
  assert.ok(executable.matmulSteps.every(({ by }) => by === "library"));
  const refusal = await device
    .load(plan, weights, { memoryLimitBytes: least - 1 })
    .catch((one: Error) => one);
  assert.match(String(refusal), new RegExp(`needs ${least} bytes, the limit is ${least - 1}`));
});

test("a shape that the library refuses is its step's launches' work; others stay", async () => {
  const { plan } = gatedPlan(128);
  using device = await record({ faults: [{ call: "prepare_matmul", at: 2, status: 15 }] });
  using executable = await device.load(plan, weightsOf(plan, randomBuffers(plan, 3)));
  assert.equal(
    executable.matmulSteps.map(({ by }) => by),
    ["library", "own"],
  );
  assert.match(executable.matmulSteps[1]!.reason, /prepare_matmul must succeed; status 15/);
  device.takeCalls();
  await executable.run("main", gatedRun);
  assert.equal(brief(device.takeCalls().calls), [...byLibrary.slice(0, 4), own[2]]);
});

test("a number of rows that the library refuses at run time goes by the launches of that run", async () => {
  const plan = qwen3("last");
  // Five shapes are asked about at load; the sixth is the first of a run's.
  using device = await record({ faults: [{ call: "prepare_matmul", at: 6, status: 15 }] });
  using executable = await device.load(plan, weightsOf(plan, randomBuffers(plan, 3, vocab)));
  assert.ok(executable.matmulSteps.every(({ by }) => by === "library"));
  device.takeCalls();
  await executable.run(...tokensRun(plan, text(128), 0));
  const { calls } = device.takeCalls();
  const products = calls.filter(({ name }) => name === "multiply").length;
  assert.is(products, 6, "all but q, k and v of the first layer");
});

test("a product that fails is an error with call, product, step and origin; the device goes on", async () => {
  const { plan } = gatedPlan(128);
  using device = await record({ faults: [{ call: "multiply", at: 3, status: 1 }] });
  using executable = await device.load(plan, weightsOf(plan, randomBuffers(plan, 3)));
  const error = await executable.run("main", gatedRun).catch((one: Error) => one);
  assert.match(
    String((error as Error).message),
    /^\[cuda\] multiply must succeed; CUDA_ERROR_INVALID_VALUE .*; product with down\.weight \(kernel matmul_add, step 1 of main, from .*\), 128 x 16 x 24$/,
  );
  await executable.run("main", gatedRun);
});

test("words that are no way to multiply are refused", async () => {
  const error = await record({ matmulLibrary: "cublas" as never }).catch((one: Error) => one);
  assert.match(String(error), /matmulLibrary must be "auto" or "own"; given cublas/);
});

test("on the simulated device: products with their epilogues equal the plan's kernels and the CPU", async () => {
  for (const logits of ["last", "all"] as const) {
    const plan = qwen3(logits);
    const weights = weightsOf(plan, randomBuffers(plan, 3, vocab));
    using cpu = cpuDevice({ threads: 1 });
    using plain = await simulate();
    using gpu = await simulate({ matmulLibrary: "auto", overlapLaunches: true });
    assert.is(plain.matmulLibrary.found, false);
    assert.is(gpu.matmulLibrary.note, "products on the host");
    using expected = await cpu.load(plan, weights);
    using alike = await plain.load(plan, weights);
    using actual = await gpu.load(plan, weights);
    // With all logits the last layer is computed for all positions, and the logits are written in place.
    assert.is(actual.matmulSteps.length, logits === "all" ? 9 : 5);
    assert.ok(actual.matmulSteps.every(({ by }) => by === "library"));
    let past = 0;
    for (const count of [130, 5, 1, 1]) {
      const run = async (executable: Executable) =>
        (await executable.run(...tokensRun(plan, text(count), past))).outputs;
      const [wanted, launched, got] = [await run(expected), await run(alike), await run(actual)];
      for (const [name, values] of Object.entries(wanted)) {
        for (const [who, other] of [
          ["the CPU", values],
          ["its kernels", launched[name]!],
        ] as const) {
          const error = share(got[name]!, other);
          assert.ok(error < devicesShare, `${name} at ${past} differs from ${who} by ${error}`);
        }
      }
      past += count;
    }
  }
});

test("on the simulated device: operands along and across, by the library and by tiles", async () => {
  const { plan } = crossedPlan();
  for (const matmulLibrary of ["auto", "own"] as const) {
    using gpu = await simulate({ matmulLibrary });
    using executable = await gpu.load(plan, {});
    const by = matmulLibrary === "auto" ? "library" : "own";
    assert.equal(
      executable.matmulSteps.map((step) => [step.program, step.by]),
      crossings.map((one) => [crossingName(one), by]),
    );
    let expected: readonly number[] | undefined;
    for (const crossing of crossings) {
      const inputs = crossedInputs(crossing);
      const { out } = (await executable.run(crossingName(crossing), { symbols: {}, inputs })).outputs;
      // The same numbers however they lie; along the contracted axis, the sum is written as it is read.
      const { a, b } = crossedInputs([false, false]);
      expected ??= Array.from({ length: crossedRows * inner }, (_, at) => {
        const [row, column] = [Math.floor(at / inner), at % inner];
        return Array.from(
          { length: hidden },
          (_, k) => a[row * hidden + k]! * b[column * hidden + k]!,
        ).reduce((sum, one) => sum + one, 0);
      });
      assert.equal([...out!], expected, `${crossingName(crossing)} by ${by}`);
    }
  }
});

test("on the simulated device: a captured run", async () => {
  const { plan } = gatedPlan(128);
  const weights = weightsOf(plan, randomBuffers(plan, 3));
  using cpu = cpuDevice({ threads: 1 });
  using gpu = await simulate({ matmulLibrary: "auto" });
  using expected = await cpu.load(plan, weights);
  using actual = await gpu.load(plan, weights);
  for (let seed = 1; seed <= 3; seed++) {
    const input = Float32Array.from({ length: 128 * hidden }, (_, at) => Math.sin(at * seed));
    const run = async (executable: Executable) =>
      (await executable.run("main", { symbols: {}, inputs: { input } })).outputs.output!;
    const error = difference(await run(actual), await run(expected));
    assert.ok(error < 1e-2, `run ${seed} differs by ${error}`);
  }
});

test.run();
