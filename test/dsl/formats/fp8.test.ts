/** FP8 with a scale for each row: its scales, and what is left of rows of every kind. */
import { decodeE4m3, decodeFp8, encodeFp8, fp8Scale } from "@weft/dsl";
import * as fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("FP8");

const [smallestNormal, largest] = [2 ** -126, (2 - 2 ** -23) * 2 ** 127];

test("the scale of a row brings its largest magnitude to 448", () => {
  assert.is(fp8Scale(448), 1);
  assert.is(fp8Scale(0), 1);
  assert.is(fp8Scale(largest), Math.fround(largest / 448));
  // Nothing smaller than a normal f32 scales a row.
  assert.is(fp8Scale(2 ** -149), smallestNormal);
  assert.is(fp8Scale(448 * smallestNormal), smallestNormal);
  assert.ok(Number.isNaN(fp8Scale(Number.NaN)) && Number.isNaN(fp8Scale(Number.POSITIVE_INFINITY)));
});

test("values that are a code times the scale of their row come back", () => {
  const columns = 256;
  const codes = Uint8Array.from({ length: 4 * columns }, (_, i) => ((i & 0x7f) === 0x7f ? 0x7e : i & 0xff));
  const scales = Float32Array.of(1, 2 ** -20, 2 ** 100, smallestNormal);
  const values = decodeFp8({ codes, scales });
  const own = encodeFp8(values, columns);
  assert.equal(own.codes, codes);
  assert.equal(own.scales, scales);
});

test("rows of zeros, of denormals, and with what is not finite", () => {
  const values = new Float32Array(5 * 4);
  values.set([0, -0, 0, 0], 0);
  values.set([2 ** -149, -(2 ** -130), 0, 2 ** -127], 4);
  values.set([1, Number.NaN, 1, 1], 8);
  values.set([1, 1, Number.NEGATIVE_INFINITY, 1], 12);
  values.set([largest, -largest, 1, 0], 16);
  const { codes, scales } = encodeFp8(values, 4);
  assert.equal([...scales.subarray(0, 2)], [1, smallestNormal]);
  assert.ok(Number.isNaN(scales[2]) && Number.isNaN(scales[3]));
  // 2^-149 is 2^-23 of the scale, and nothing of it is left.
  assert.equal([...codes.subarray(0, 8)], [0, 0x80, 0, 0, 0, 0x98, 0, 0x30]);
  assert.equal([...codes.subarray(8, 16)], new Array(8).fill(0));
  assert.equal([...codes.subarray(16)], [0x7e, 0xfe, 0, 0]);
});

test("an element is off by a sixteenth of itself at most, or by 2^-10 of its row's scale", () => {
  const row = fc.array(fc.float({ noNaN: true, noDefaultInfinity: true, min: -(2 ** 100), max: 2 ** 100 }), {
    minLength: 1,
    maxLength: 40,
  });
  fc.assert(
    fc.property(row, (values) => {
      const { codes, scales } = encodeFp8(values, values.length);
      for (const [i, value] of values.entries()) {
        const decoded = decodeE4m3(codes[i]!) * scales[0]!;
        const bound = Math.max(Math.abs(value) / 16, scales[0]! * 2 ** -10);
        assert.ok(Math.abs(decoded - value) <= bound * (1 + 2 ** -20), `${value}: ${decoded}`);
      }
    }),
  );
});

test.run();
