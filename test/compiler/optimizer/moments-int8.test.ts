/** AdamW with moments in int8: the bytes of the definition, one kernel, roots that grow, updates that are left out. */

import { adamWWith } from "@weft/compiler";
import { randomNumbers } from "@weft/compiler/testing";
import { randomHalf, roundingKey, roundWith } from "@weft/dsl";
import type { StateArray } from "@weft/runtime";
import { cpuDevice } from "@weft/runtime-cpu";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { interpreterDevice } from "../../support/interpreter-device.ts";
import {
  adamWStep,
  compiledFor,
  constants,
  expectSameBits,
  names,
  seed,
  slopes,
  stream,
  streams,
  update,
} from "./slope.ts";

const test = suite("optimizer: moments in int8");
const matrix = { rows: 12, depth: 640 };
const { rows, depth } = matrix;
const size = rows * depth;
/** The largest divisor of 640 that is a multiple of 16 and at most 256. */
const block = 160;
const next = randomNumbers(5);
const slopeOf = slopes(matrix, 80);
const round = Math.fround;

function nearestEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
}

/** What the definition makes of blocks; with bits, of roots. */
function encoded(values: Float32Array, bits?: (index: number) => number) {
  const codes = new Int8Array(size);
  const scales = new Float32Array(size / block);
  const decoded = new Float32Array(size);
  for (let at = 0; at < scales.length; at++) {
    const own = values.subarray(at * block, (at + 1) * block);
    const largest = own.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    scales[at] = round(largest * round(1 / 127));
    const inverse = largest === 0 ? 1 : round(127 / largest);
    own.forEach((value, i) => {
      const index = at * block + i;
      const scaled = round(value * inverse);
      const code =
        bits === undefined
          ? nearestEven(scaled)
          : roundWith(round(Math.max(scaled, 1) + 128), bits(index)) - 128;
      codes[index] = Math.max(-127, Math.min(127, code));
      decoded[index] = codes[index]! * scales[at]!;
    });
  }
  return { codes, scales, decoded };
}

const compiled = compiledFor(adamWWith("int8"), matrix);

test("states and weights are the definition's to the bit; updates that are left out change nothing", async () => {
  using device = cpuDevice({ threads: 2 });
  using executable = await device.load(compiled.plan, streams);
  using interpreter = await interpreterDevice(compiled, { roundF32: true }).load(compiled.plan, streams);
  const weight = Float32Array.from({ length: size }, () => next() - 0.5);
  for (const one of [executable, interpreter]) await one.writeState("weight", weight);
  const read = (name: string) => executable.readState(name);
  const states = async () => Promise.all(["weight", ...Object.values(names)].map(read));
  const leaveOut = async (step: number, count: number) => {
    const before = await states();
    const { outputs } = await update(executable, new Float32Array(size).fill(Number.NaN), step);
    assert.equal([...outputs.skipped!], [count]);
    assert.equal(await states(), before);
  };
  // Before anything was kept, too.
  await leaveOut(1, 1);
  let [first, root] = [new Float32Array(size), new Float32Array(size)];
  for (let step = 1; step <= 5; step++) {
    const slope = slopeOf(step);
    for (const one of [executable, interpreter]) await update(one, slope, step);
    const { moment, square } = adamWStep(weight, slope, first, root, step);
    const bits = (index: number) => randomHalf(index, roundingKey(seed, step), stream);
    const [firstNow, rootNow] = [encoded(moment), encoded(square.map(Math.sqrt), bits)];
    assert.equal(await read("weight"), weight, `weight of step ${step}`);
    assert.equal(await read(names.firstScale), firstNow.scales);
    assert.equal(await read(names.first), firstNow.codes);
    assert.equal(await read(names.rootScale), rootNow.scales);
    assert.equal(await read(names.root), rootNow.codes, `roots of step ${step}`);
    [first, root] = [firstNow.decoded, rootNow.decoded];
  }
  await leaveOut(6, 2);
  // The interpreter computes in doubles: what lies at a boundary may fall on its other side, and go on from there.
  const codes = await interpreter.readState(names.root);
  const own = await read(names.root);
  const same = own.filter((code, at) => code === codes[at]).length;
  assert.ok(same > 0.98 * size, `${same} of ${size}`);
});

test("one kernel writes weight, codes and scales in place: a byte for each, and a scale a block", () => {
  const { plan } = compiled;
  const steps = plan.programs[0]!.steps.map((step) => ({ ...step, kernel: plan.kernels[step.kernel]! }));
  const writers = steps.filter(({ kernel }) =>
    kernel.slots.some(({ access, dtype }) => access !== "read" && dtype === "i8"),
  );
  assert.is(writers.length, 1);
  const { kernel, bindings } = writers[0]!;
  const updated = kernel.slots.flatMap(({ access }, at) =>
    access === "update" ? [plan.buffers[bindings[at]!]!.name] : [],
  );
  assert.equal(updated.sort(), [...Object.values(names), "weight"].sort());
  assert.not(steps.some((one) => /^(write|save)/.test(one.kernel.name)));
  const bytesOf = (name: string) => plan.buffers.find((one) => one.name === name)!.bytes;
  assert.is(bytesOf(names.first) + bytesOf(names.root), 2 * size);
  assert.is(bytesOf(names.firstScale) + bytesOf(names.rootScale), (2 * 4 * size) / block);
});

test("the simulated GPU gives the same bits; states are written and read as Int8Array", async () => {
  const weight = Float32Array.from({ length: size }, () => next() - 0.5);
  const begin = Int8Array.from({ length: size }, (_, at) => (at % 255) - 127);
  await expectSameBits(compiled.plan, weight, [1, 2, 3].map(slopeOf), async (executable, where) => {
    await executable.writeState(names.first, begin);
    assert.equal(await executable.readState(names.first), begin, where);
    await executable.writeState(names.firstScale, new Float32Array(size / block).fill(1e-3));
  });
});

test("a state of i8 refuses values of another kind", async () => {
  using device = cpuDevice({ threads: 1 });
  using executable = await device.load(compiled.plan, streams);
  const refusal = async (values: StateArray) => {
    try {
      await executable.writeState(names.first, values);
    } catch (error) {
      return (error as Error).message;
    }
    return "";
  };
  assert.match(await refusal(new Float32Array(size)), /the state holds i8; given f32/);
  assert.match(await refusal(new Int8Array(size - 1)), new RegExp(`has ${size} elements; given ${size - 1}`));
});

test("a root grows by less than a code, and shrinks again", async () => {
  using device = cpuDevice({ threads: 2 });
  using executable = await device.load(compiled.plan, streams);
  // In each block the first half begins at once; the second half begins at step 100 and ends at 200.
  const slopeAt = (step: number) =>
    Float32Array.from({ length: size }, (_, at) =>
      at % block < block / 2 || (step > 100 && step <= 200) ? 1 : 0,
    );
  const meanOf = async (half: 0 | 1) => {
    const codes = await executable.readState(names.root);
    const scales = await executable.readState(names.rootScale);
    let sum = 0;
    for (let at = 0; at < size; at++)
      if (Math.floor((at % block) / (block / 2)) === half)
        sum += codes[at]! * scales[Math.floor(at / block)]!;
    return sum / (size / 2);
  };
  const near = (value: number, expected: number, most: number) =>
    assert.ok(Math.abs(value / expected - 1) < most, `${value} for ${expected}`);
  for (let step = 1; step <= 200; step++) await update(executable, slopeAt(step), step);
  const grown = (steps: number) => Math.sqrt(1 - constants.betas[1] ** steps);
  near(await meanOf(0), grown(200), 0.01);
  near(await meanOf(1), grown(100), 0.01);
  for (let step = 201; step <= 400; step++) await update(executable, slopeAt(step), step);
  near(await meanOf(0), grown(400), 0.01);
  near(await meanOf(1), Math.sqrt((1 - constants.betas[1] ** 100) * constants.betas[1] ** 200), 0.05);
});

test.run();
