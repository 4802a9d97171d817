/** Second moments that were rounded to zero would make steps far too long: they cannot be, in either format. */
import { adamWWith, optimizerStates } from "@weft/compiler";
import { decodeNvfp4, encodeNvfp4, nvfp4EncodeScale } from "@weft/dsl";
import type { Executable } from "@weft/runtime";
import { cpuDevice } from "@weft/runtime-cpu";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { compiledFor, constants, streams, update } from "./slope.ts";

const test = suite("optimizer: bounded steps");
const matrix = { rows: 16, depth: 256 };
const size = matrix.rows * matrix.depth;
const second = optimizerStates.secondMoment("weight");

/** In every block of 16, one large gradient; the others are a thousandth of it, and end at step 20. */
const slopeAt = (step: number) =>
  Float32Array.from({ length: size }, (_, at) => (at % 16 === 0 ? 1 : step <= 20 ? 1e-3 : 0));

/** The longest step of any element in 30 updates, in learning rates. */
async function longestStep(executable: Executable, narrow: boolean, between?: () => Promise<void>) {
  let before = await executable.readState("weight");
  let longest = 0;
  for (let step = 1; step <= 30; step++) {
    await update(executable, slopeAt(step), step, narrow);
    await between?.();
    const after = await executable.readState("weight");
    for (let at = 0; at < size; at++)
      longest = Math.max(longest, Math.abs(after[at]! - before[at]!) / constants.learningRate);
    before = after;
  }
  return longest;
}

const formats = {
  /** The second moment itself, each row with a scale, rounded to nearest. */
  nvfp4: (row: Float32Array, largest: number) => {
    const scale = nvfp4EncodeScale(largest);
    return decodeNvfp4(encodeNvfp4(row.map((value) => value * scale))).map((value) => value / scale);
  },
  int8: (row: Float32Array, largest: number) =>
    row.map((value) => (Math.round((value * 127) / largest) * largest) / 127),
} as const;

for (const format of ["int8", "nvfp4"] as const) {
  test(`${format}: steps stay as short as those of f32, and a plain second moment of so few bits fails`, async () => {
    using device = cpuDevice({ threads: 2 });
    const plain = compiledFor(adamWWith("f32"), matrix).plan;
    using exact = await device.load(plain, {});
    const bound = 1.5 * (await longestStep(exact, false));
    using ours = await device.load(compiledFor(adamWWith(format), matrix).plan, streams);
    const own = await longestStep(ours, true);
    assert.ok(own < bound, `${own} learning rates beside ${bound}`);
    using naive = await device.load(plain, {});
    const roundSquares = async () => {
      const squares = (await naive.readState(second)) as Float32Array;
      for (let row = 0; row < matrix.rows; row++) {
        const part = squares.subarray(row * matrix.depth, (row + 1) * matrix.depth);
        part.set(formats[format](part, Math.max(...part)));
      }
      await naive.writeState(second, squares);
    };
    const failed = await longestStep(naive, false, roundSquares);
    assert.ok(failed > 1000 * bound, `${failed} learning rates beside ${bound}`);
  });
}

test.run();
