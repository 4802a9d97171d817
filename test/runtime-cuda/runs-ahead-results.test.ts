/** Runs called without awaiting compute what the same runs compute one by one, also when one of them fails. */
import { compile, expandBlock, preludeFolder } from "@weft/compiler";
import { axis, embedding, orThrow } from "@weft/dsl";
import type { Executable, OutputArray } from "@weft/runtime";
import { compileForHost, findHostCompiler, type SimulatedOptions, simulatedDevice } from "@weft/runtime-cuda";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { randomBuffers, weightsOf } from "../runtime-cpu/compare.ts";
import { lookUpComputed } from "../runtime-cpu/look-up.ts";
import { rejection } from "../runtime-cpu/small-model.ts";
import { devicesHere, openDevice } from "../support/models.ts";
import { exampleCuda, examplePlan, exampleText, exampleWeights, hidden } from "./example.ts";

const test = suite("cuda runs ahead, results");
const plan = examplePlan();
let known: Promise<Uint8Array> | undefined;
const image = () =>
  (known ??= findHostCompiler().then((compiler) =>
    compileForHost({ file: "example.cu", source: exampleText, includeFolders: [preludeFolder] }, compiler),
  ));
const open = async (options: Partial<SimulatedOptions> = {}) => {
  const images = [await image()];
  return simulatedDevice({ prepare: async () => ({ cudaPlan: exampleCuda(plan), images }), ...options });
};

/** A step, or a chunk of so many rows. */
interface Call {
  readonly past: number;
  readonly rows?: number;
}
const steps = (...past: readonly number[]): Call[] => past.map((one) => ({ past: one }));
/** The last ones of a state that the first ones made; each reads the oldest row, whoever wrote it last. */
const calls: readonly Call[] = [
  { past: 0, rows: 3 },
  ...steps(3, 4, 0, 5, 1, 2, 0),
  { past: 1, rows: 2 },
  { past: 0, rows: 4 },
  ...steps(4, 0, 1),
];

async function outputsOf(executable: Executable, given: readonly Call[], awaits: boolean) {
  // One array and one set of symbols for all: they are overwritten as soon as a call returns.
  const symbols = { past: 0, seq: 0 };
  const step = new Float32Array(hidden);
  const chunk = new Float32Array(4 * hidden);
  const runs: Promise<OutputArray>[] = [];
  for (const [index, { past, rows }] of given.entries()) {
    const x = rows === undefined ? step : chunk.subarray(0, rows * hidden);
    for (let i = 0; i < x.length; i++) x[i] = Math.sin(100 * index + i);
    Object.assign(symbols, { past, seq: rows ?? 0 });
    const run = executable.run(rows === undefined ? "step" : "chunk", { symbols, inputs: { x } });
    runs.push(run.then(({ outputs }) => outputs.y!));
    x.fill(Number.NaN);
    symbols.past = 0;
    if (awaits) await runs.at(-1);
  }
  return Promise.all(runs);
}

for (const options of [{}, { waitForEachLaunch: true }, { seed: 7, lateFailures: true }])
  test(`piled runs give what awaited ones give, bit by bit, and leave the same state: ${JSON.stringify(options)}`, async () => {
    using device = await open(options);
    using awaited = await device.load(plan, exampleWeights);
    using piled = await device.load(plan, exampleWeights);
    const expected = await outputsOf(awaited, calls, true);
    // Once while the graph is made, once with it.
    for (let time = 0; time < 2; time++) {
      assert.equal(await outputsOf(piled, calls, false), expected);
      assert.equal(await piled.saveState(), await awaited.saveState());
      await piled.reset();
    }
  });

test("arrays to fill are filled by their own run", async () => {
  using device = await open();
  using executable = await device.load(plan, exampleWeights);
  const expected = await outputsOf(executable, steps(0, 1, 2, 3, 4, 5), true);
  await executable.reset();
  const arrays = expected.map(() => new Float32Array(hidden));
  await Promise.all(
    arrays.map((y, past) => {
      const x = Float32Array.from({ length: hidden }, (_, i) => Math.sin(100 * past + i));
      // Every other run gives nothing.
      const outputs: Record<string, OutputArray> = past % 2 === 0 ? { y } : {};
      return executable.run("step", { symbols: { past, seq: 0 }, inputs: { x }, outputs });
    }),
  );
  for (const [past, y] of arrays.entries())
    assert.equal(y, past % 2 === 0 ? expected[past] : new Float32Array(hidden));
});

test("two executables on one device do not disturb each other", async () => {
  using device = await open();
  using a = await device.load(plan, exampleWeights);
  using b = await device.load(plan, exampleWeights);
  const given = [calls.slice(0, 8), calls.slice(8)] as const;
  const expected = [await outputsOf(a, given[0], true), await outputsOf(b, given[1], true)];
  await Promise.all([a.reset(), b.reset()]);
  const found = await Promise.all([outputsOf(a, given[0], false), outputsOf(b, given[1], false)]);
  assert.equal(found, expected);
});

test("a profile between piled runs", async () => {
  using device = await open();
  using executable = await device.load(plan, exampleWeights);
  const x = Float32Array.from({ length: hidden }, (_, i) => i);
  const step = { symbols: { past: 0, seq: 0 }, inputs: { x } };
  const expected = (await executable.run("step", step)).outputs;
  const [before, { steps: times, outputs }, after] = await Promise.all([
    executable.run("step", step),
    executable.profile("step", step),
    executable.run("step", step),
  ]);
  assert.equal([before.outputs, outputs, after.outputs], [expected, expected, expected]);
  assert.is(times.length, 3);
});

const settled = (runs: readonly Promise<{ outputs: unknown }>[]) =>
  Promise.all(
    runs.map((run) =>
      run.then(
        ({ outputs }) => outputs,
        (error: Error) => error.message,
      ),
    ),
  );

for (const name of (await devicesHere()).filter((one) => one !== "cpu")) {
  test(`${name}: an index that the device refuses in the second of four: the first succeeds, the others say why not`, async () => {
    using device = await openDevice(name);
    const { plan: computed } = lookUpComputed();
    using executable = await device.load(computed, weightsOf(computed, randomBuffers(computed, 2)));
    assert.is(executable.runsAhead, 4);
    const run = (value: number) =>
      executable.run("main", { symbols: {}, inputs: { x: Float32Array.from([0, 1, value, 0]) } });
    const { outputs: sound } = await run(1);
    // Launched, captured, replayed.
    for (let time = 0; time < 3; time++) {
      const outcomes = await settled([1, 2, 1, 1].map(run));
      assert.equal(outcomes[0], sound);
      const why = /a row of a table was asked for by index 4, which must be 0 to 2 \(kernel look_up, step 0/;
      assert.match(String(outcomes[1]), why);
      for (const text of outcomes.slice(1)) assert.match(String(text), why);
      for (const text of outcomes.slice(2)) assert.match(String(text), /a run before this one failed while/);
      // Those that were not under way yet are executed.
      const more = await settled([1, 2, 1, 1, 1, 1, 1, 1].map(run));
      assert.equal(
        [more[0], ...more.slice(5)],
        Array.from({ length: 4 }, () => sound),
      );
      for (const text of more.slice(1, 4)) assert.match(String(text), why);
      // The report is taken back.
      assert.equal(
        await settled([1, 1, 1, 1, 1].map(run)),
        Array.from({ length: 5 }, () => sound),
      );
    }
  });

  test(`${name}: an input that is refused before anything is executed is nobody else's matter`, async () => {
    const [vocab, width] = [axis("vocab", 40), axis("hidden", 16)];
    const graph = expandBlock(embedding("table", vocab, width), { name: "look_up", lead: [axis("seq", 2)] });
    const given = orThrow(compile([{ name: "main", graph, passes: [] }], { name: "look_up" })).plan;
    using device = await openDevice(name);
    using executable = await device.load(given, weightsOf(given, randomBuffers(given, 3, 40)));
    const [port] = given.programs[0]!.inputs;
    const order: number[] = [];
    const run = (token: number) =>
      executable
        .run("main", { symbols: {}, inputs: { [port!.name]: Int32Array.of(token, 1) } })
        .finally(() => order.push(token));
    const { outputs: sound } = await run(3);
    order.length = 0;
    const runs = [3, 40, 3, 3];
    const outcomes = await settled(runs.map(run));
    assert.match(String(outcomes[1]), /value 40 at index 0 must be 0 to 39/);
    for (const index of [0, 2, 3]) assert.equal(outcomes[index], sound);
    assert.equal(order, runs);
    assert.match(await rejection(run(-1)), /value -1/);
  });
}

test("a store beyond its buffer: piled runs reject, each with the place, and the process lives on", async () => {
  const wrong = exampleText.replace(
    "(symbol(args.symbols, 0) + block) *",
    "(symbol(args.symbols, 0) + block + 6) *",
  );
  const compiler = await findHostCompiler();
  const source = { file: "example.cu", source: wrong, includeFolders: [preludeFolder] };
  const images = [await compileForHost(source, compiler)];
  for (const lateFailures of [false, true]) {
    const prepare = async () => ({ cudaPlan: exampleCuda(plan), images });
    using device = await simulatedDevice({ prepare, lateFailures });
    using executable = await device.load(plan, exampleWeights);
    const run = () =>
      executable.run("step", { symbols: { past: 0, seq: 0 }, inputs: { x: new Float32Array(hidden) } });
    for (const text of await settled([run(), run(), run()])) {
      assert.match(String(text), /CUDA_ERROR_ILLEGAL_ADDRESS/);
      assert.match(String(text), /append_step \(kernel append_step, step 1 of step, from block\.4\)/);
    }
  }
});

test.run();
