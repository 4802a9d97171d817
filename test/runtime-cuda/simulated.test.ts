/** The whole way on the simulated device: kernels by hand are compiled, loaded, executed, and give what they should. */
import { preludeFolder } from "@weft/compiler";
import type { Executable } from "@weft/runtime";
import { compileForHost, findHostCompiler, type SimulatedOptions, simulatedDevice } from "@weft/runtime-cuda";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  capacity,
  exampleCuda,
  examplePlan,
  exampleScale,
  exampleText,
  exampleWeights,
  hidden,
} from "./example.ts";

const test = suite("cuda simulated");
const plan = examplePlan();
const compiled = (source: string) =>
  findHostCompiler().then((compiler) =>
    compileForHost({ file: "example.cu", source, includeFolders: [preludeFolder] }, compiler),
  );
let known: Promise<Uint8Array> | undefined;
const image = () => (known ??= compiled(exampleText));

const open = async (options: Partial<SimulatedOptions> = {}, text?: string) => {
  const images = [await (text === undefined ? image() : compiled(text))];
  return simulatedDevice({ prepare: async () => ({ cudaPlan: exampleCuda(plan), images }), ...options });
};

/** The plan's meaning. */
class Expected {
  readonly cache = Array.from({ length: capacity }, () => new Float32Array(hidden));
  run(past: number, rows: readonly Float32Array[]): number[] {
    const scaled = rows.map((row) => row.map((value, column) => value * exampleScale[column]!));
    scaled.forEach((row, index) => {
      this.cache[past + index] = row;
    });
    return scaled.flatMap((row) => [...row.map((value, column) => value + this.cache[0]![column]!)]);
  }
  drop(count: number): void {
    this.cache.splice(0, count);
    while (this.cache.length < capacity) this.cache.push(new Float32Array(hidden));
  }
}

const rowsFrom = (seed: number, count: number) =>
  Array.from({ length: count }, (_, row) =>
    Float32Array.from({ length: hidden }, (_, column) => seed + row - column / 4),
  );

async function check(executable: Executable, expected: Expected, past: number, seed: number, seq?: number) {
  const rows = rowsFrom(seed, seq ?? 1);
  const { outputs } = await executable.run(seq === undefined ? "step" : "chunk", {
    symbols: { past, seq: seq ?? 0 },
    inputs: { x: Float32Array.from(rows.flatMap((row) => [...row])) },
  });
  assert.equal([...outputs.y!], expected.run(past, rows));
}

test("chunks and steps, captured and replayed, with a state that is kept, moved and put back", async () => {
  using device = await open();
  assert.is(device.name, "cuda-sim");
  using executable = await device.load(plan, exampleWeights);
  const expected = new Expected();
  await check(executable, expected, 0, 1, 3);
  // The first is launched, the second captured, the others replayed.
  for (let past = 3; past < capacity; past++) await check(executable, expected, past, past);
  const saved = await executable.saveState();
  const kept = expected.cache.map((row) => row.slice());
  await executable.shiftState(2);
  expected.drop(2);
  assert.equal(
    [...new Float32Array((await executable.saveState()).buffer, 0, capacity * hidden)],
    expected.cache.flatMap((row) => [...row]),
  );
  await check(executable, expected, 4, 9, 2);
  await executable.reset();
  await check(executable, new Expected(), 1, 4, 1);
  await executable.restoreState(saved);
  expected.cache.splice(0, capacity, ...kept);
  await check(executable, expected, 5, 2);
});

test("the same from any number of blocks and any order of threads", async () => {
  for (const seed of [1, 2, 3])
    for (const multiprocessors of [1, 7]) {
      using device = await open({ seed, multiprocessors });
      using executable = await device.load(plan, exampleWeights);
      const expected = new Expected();
      await check(executable, expected, 0, seed, 4);
      for (let i = 0; i < 3; i++) await check(executable, expected, 4, i);
    }
});

test("a profile has the time of every step", async () => {
  using device = await open();
  using executable = await device.load(plan, exampleWeights);
  const { steps, outputs } = await executable.profile("step", {
    symbols: { past: 0, seq: 0 },
    inputs: { x: rowsFrom(1, 1)[0]! },
  });
  assert.is(steps.length, 3);
  assert.ok(steps.every(({ nanoseconds }) => nanoseconds >= 0));
  assert.equal([...outputs.y!], new Expected().run(0, rowsFrom(1, 1)));
});

test("a store beyond its buffer loses the device, with kernel and place; the process lives on", async () => {
  const wrong = exampleText.replace(
    "(symbol(args.symbols, 0) + block) *",
    `(symbol(args.symbols, 0) + block + ${capacity}) *`,
  );
  assert.is.not(wrong, exampleText);
  for (const lateFailures of [false, true]) {
    using device = await open({ lateFailures }, wrong);
    using executable = await device.load(plan, exampleWeights);
    const run = () =>
      executable.run("step", { symbols: { past: 0, seq: 0 }, inputs: { x: rowsFrom(1, 1)[0]! } });
    const text = await run().then(
      () => "no error",
      (error: Error) => error.message,
    );
    assert.match(text, /^\[cuda\] cu\w+ must succeed; CUDA_ERROR_ILLEGAL_ADDRESS/);
    assert.match(text, /append_step \(kernel append_step, step 1 of step, from block\.4\)/);
    assert.match(text, /the device is lost/);
    const later = await run().catch((error: Error) => error.message);
    assert.match(String(later), /must not be used after it was lost/);
  }
  using device = await open();
  using executable = await device.load(plan, exampleWeights);
  await check(executable, new Expected(), 0, 1);
});

test("a damaged image is an error", async () => {
  const bytes = await image();
  for (const damaged of [bytes.subarray(0, 1000), new Uint8Array(4096), bytes.map((byte) => byte ^ 0xff)]) {
    using device = await simulatedDevice({
      prepare: async () => ({ cudaPlan: exampleCuda(plan), images: [damaged] }),
    });
    const error = await device.load(plan, exampleWeights).catch((one: Error) => one);
    assert.match(String(error), /cuModuleLoadData must succeed; .*; module example, \d+ bytes/);
  }
  using device = await open({}, exampleText.replaceAll("append_", "other_"));
  const error = await device.load(plan, exampleWeights).catch((one: Error) => one);
  assert.match(String(error), /cuModuleGetFunction must succeed; .*; kernel append_chunk of module example/);
});

test.run();
