/** AdamW with moments in NVFP4: the bytes of the definition, one kernel, roots that grow, and steps of a bounded size. */

import { adamWWith } from "@weft/compiler";
import { randomNumbers } from "@weft/compiler/testing";
import { decodeNvfp4, encodeNvfp4, nvfp4EncodeScale, randomHalf, roundingKey } from "@weft/dsl";
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

const test = suite("optimizer: moments in NVFP4");
const matrix = { rows: 52, depth: 80 };
const { rows, depth } = matrix;
const size = rows * depth;
const next = randomNumbers(4);
const slopeOf = slopes(matrix, 16);

/** What the definition makes of rows; scales and codes as states hold them. */
function encoded(values: Float32Array, nonZero: boolean, bits?: (index: number) => number) {
  const codes = new Uint8Array((size * 9) / 16);
  const scales = new Float32Array(rows);
  const decoded = new Float32Array(size);
  for (let row = 0; row < rows; row++) {
    const own = values.subarray(row * depth, (row + 1) * depth);
    const encodeScale = nvfp4EncodeScale(own.reduce((most, value) => Math.max(most, Math.abs(value)), 0));
    scales[row] = 1 / encodeScale;
    const blocks = encodeNvfp4(
      own.map((value) => value * encodeScale),
      { nonZero, ...(bits === undefined ? {} : { bits: (index) => bits(row * depth + index) }) },
    );
    codes.set(blocks.codes, (row * depth) / 2);
    codes.set(blocks.scales, size / 2 + (row * depth) / 16);
    decoded.set(
      decodeNvfp4(blocks).map((value) => value * scales[row]!),
      row * depth,
    );
  }
  return { codes, scales, decoded };
}

test("states and weights are the definition's to the bit; skipped updates leave weights as they were", async () => {
  const compiled = compiledFor(adamWWith("nvfp4"), matrix);
  using device = cpuDevice({ threads: 2 });
  using executable = await device.load(compiled.plan, streams);
  using interpreter = await interpreterDevice(compiled, { roundF32: true }).load(compiled.plan, streams);
  const weight = Float32Array.from({ length: size }, () => next() - 0.5);
  for (const one of [executable, interpreter]) await one.writeState("weight", weight);
  let [first, root] = [new Float32Array(size), new Float32Array(size)];
  for (let step = 1; step <= 5; step++) {
    const slope = slopeOf(step);
    for (const one of [executable, interpreter]) await update(one, slope, step);
    const { moment, square } = adamWStep(weight, slope, first, root, step);
    const bits = (index: number) => randomHalf(index, roundingKey(seed, step), stream);
    const [firstNow, rootNow] = [encoded(moment, false), encoded(square.map(Math.sqrt), true, bits)];
    const read = async (name: string) => executable.readState(name);
    assert.equal(await read("weight"), weight, `weight of step ${step}`);
    assert.equal(await read(names.firstScale), firstNow.scales);
    assert.equal(await read(names.first), firstNow.codes);
    assert.equal(await read(names.rootScale), rootNow.scales);
    assert.equal(await read(names.root), rootNow.codes, `roots of step ${step}`);
    [first, root] = [firstNow.decoded, rootNow.decoded];
  }
  // The interpreter computes in doubles: what lies at a boundary may fall on its other side, and go on from there.
  const other = await interpreter.readState("weight");
  const off = weight.reduce((most, value, at) => Math.max(most, Math.abs(value - other[at]!)), 0);
  assert.ok(off < 3 * constants.learningRate, `weights differ by ${off}`);
  const same = weight.filter((value, at) => Math.abs(value - other[at]!) < 1e-6).length;
  assert.ok(same > 0.98 * size, `${same} of ${size}`);

  const { outputs } = await update(executable, new Float32Array(size).fill(Number.NaN), 6);
  assert.equal([...outputs.skipped!], [1]);
  assert.equal(await executable.readState("weight"), weight);
  const scales = await executable.readState(names.rootScale);
  assert.ok(scales.every((value) => Number.isFinite(value)));
});

test("one kernel reads the gradient and writes weight, codes and scales in place: 4.5 bits and a scale a row", () => {
  const { plan } = compiledFor(adamWWith("nvfp4"), matrix);
  const steps = plan.programs[0]!.steps.map((step) => ({ ...step, kernel: plan.kernels[step.kernel]! }));
  const writers = steps.filter(({ kernel }) =>
    kernel.slots.some(({ access, dtype }) => access !== "read" && dtype === "nvfp4"),
  );
  assert.is(writers.length, 1);
  const { kernel, bindings } = writers[0]!;
  const updated = kernel.slots.flatMap(({ access }, at) =>
    access === "update" ? [plan.buffers[bindings[at]!]!.name] : [],
  );
  assert.equal(updated.sort(), [...Object.values(names), "weight"].sort());
  assert.not(steps.some((one) => /^(write|save)/.test(one.kernel.name)));
  const bytesOf = (name: string) => plan.buffers.find((one) => one.name === name)!.bytes;
  // Rows lie in groups of 16.
  const padded = Math.ceil(rows / 16) * 16;
  assert.is(bytesOf(names.first) + bytesOf(names.root), (2 * padded * depth * 9) / 16);
  assert.is(bytesOf(names.firstScale) + bytesOf(names.rootScale), 2 * 4 * rows);
});

test("the simulated GPU gives the same bits", async () => {
  const weight = Float32Array.from({ length: size }, () => next() - 0.5);
  const { plan } = compiledFor(adamWWith("nvfp4"), matrix);
  await expectSameBits(plan, weight, [1, 2, 3].map(slopeOf));
});

test("a root grows by less than a scale's step, in a block that begins late", async () => {
  using device = cpuDevice({ threads: 2 });
  using executable = await device.load(compiledFor(adamWWith("nvfp4"), matrix).plan, streams);
  // The second block's gradients begin at step 100, as large as those of the first.
  const slopeAt = (step: number) =>
    Float32Array.from({ length: size }, (_, at) => {
      const block = Math.floor((at % depth) / 16);
      return block === 0 || (block === 1 && step > 100) ? 1 : 0;
    });
  for (let step = 1; step <= 400; step++) await update(executable, slopeAt(step), step);
  const bytes = (await executable.readState(names.root)) as Uint8Array;
  const scales = await executable.readState(names.rootScale);
  const decoded = decodeNvfp4({ codes: bytes.subarray(0, size / 2), scales: bytes.subarray(size / 2) });
  const meanOf = (block: number) => {
    let sum = 0;
    for (let row = 0; row < rows; row++)
      for (let at = 0; at < 16; at++) sum += decoded[row * depth + 16 * block + at]! * scales[row]!;
    return sum / (16 * rows);
  };
  const expected = (steps: number) => Math.sqrt(1 - constants.betas[1] ** steps);
  assert.ok(Math.abs(meanOf(0) / expected(400) - 1) < 0.02, `${meanOf(0)} for ${expected(400)}`);
  assert.ok(Math.abs(meanOf(1) / expected(300) - 1) < 0.1, `${meanOf(1)} for ${expected(300)}`);
  assert.is(meanOf(2), 0);
});

test.run();
