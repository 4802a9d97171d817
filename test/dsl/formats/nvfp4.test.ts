/** NVFP4 and its two element formats: every code, every tie, and blocks of every kind. */
import {
  decodeE2m1,
  decodeE4m3,
  decodeNvfp4,
  encodeE2m1,
  encodeE2m1With,
  encodeE4m3,
  encodeNvfp4,
  nvfp4EncodeScale,
} from "@weft/dsl";
import * as fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("NVFP4");

const e2m1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6];

test("all 16 codes of E2M1, there and back", () => {
  for (const [code, value] of e2m1.entries()) {
    assert.ok(Object.is(decodeE2m1(code), value), `code ${code}`);
    assert.is(encodeE2m1(value), code);
  }
});

test("E2M1 rounds ties to even and stays within 6", () => {
  const ties = [0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5];
  const even = [0, 1, 1, 2, 2, 4, 4];
  for (const [index, tie] of ties.entries()) {
    assert.is(decodeE2m1(encodeE2m1(tie)), even[index]);
    assert.is(decodeE2m1(encodeE2m1(-tie)), -even[index]!);
    const [below, above] = [Math.fround(tie - 2 ** -20), Math.fround(tie + 2 ** -20)];
    assert.is(encodeE2m1(above) - encodeE2m1(below), 1, `around ${tie}`);
  }
  assert.is(encodeE2m1(Number.POSITIVE_INFINITY), 7);
  assert.is(encodeE2m1(-1e30), 15);
});

test("all 256 codes of E4M3, there and back", () => {
  for (let code = 0; code < 256; code++) {
    const [sign, exponent, fraction] = [code & 0x80 ? -1 : 1, (code >> 3) & 15, code & 7];
    const value = decodeE4m3(code);
    if ((code & 0x7f) === 0x7f) assert.ok(Number.isNaN(value));
    else {
      const expected =
        exponent === 0 ? sign * fraction * 2 ** -9 : sign * (1 + fraction / 8) * 2 ** (exponent - 7);
      assert.ok(Object.is(value, expected), `code ${code}`);
      assert.is(encodeE4m3(value), code);
    }
  }
  assert.is(decodeE4m3(0x7e), 448);
  assert.is(decodeE4m3(1), 2 ** -9);
});

test("E4M3 rounds to nearest, ties to even, and saturates", () => {
  for (let code = 0; code < 0x7e; code++) {
    const [low, high] = [decodeE4m3(code), decodeE4m3(code + 1)];
    const tie = (low + high) / 2;
    assert.is(encodeE4m3(tie), code & 1 ? code + 1 : code, `tie above ${low}`);
    assert.is(encodeE4m3(tie * (1 - 2 ** -20)), code);
    assert.is(encodeE4m3(tie * (1 + 2 ** -20)), code + 1);
    assert.is(encodeE4m3(-tie), 0x80 | (code & 1 ? code + 1 : code));
  }
  assert.is(encodeE4m3(464), 0x7e);
  assert.is(encodeE4m3(Number.NEGATIVE_INFINITY), 0xfe);
  assert.is(encodeE4m3(Number.NaN), 0x7f);
});

const finite = fc.float({ noNaN: true, noDefaultInfinity: true });
const blocksOf = (element: fc.Arbitrary<number>) =>
  fc
    .integer({ min: 1, max: 4 })
    .chain((count) => fc.array(element, { minLength: 16 * count, maxLength: 16 * count }));

test("a block's error is at most half a step of its largest code", () => {
  fc.assert(
    fc.property(blocksOf(fc.float({ min: -100, max: 100, noNaN: true })), (values) => {
      const amax = Math.max(...values.map(Math.abs));
      const encodeScale = nvfp4EncodeScale(amax);
      const decoded = decodeNvfp4(encodeNvfp4(values, { encodeScale }));
      for (const [index, value] of values.entries()) {
        const block = values.slice(index - (index % 16), index - (index % 16) + 16);
        const largest = Math.max(...block.map(Math.abs));
        // The widest step is 2 of 6; the scale itself is off by 1/16 at most, or by half of its smallest step.
        const bound = largest / 5.5 + (3 * 2 ** -9) / encodeScale;
        assert.ok(Math.abs(decoded[index]! / encodeScale - value) <= bound * 1.0001, `${value}`);
      }
    }),
  );
});

test("four over six is never worse, and its scale is one of the two", () => {
  fc.assert(
    fc.property(blocksOf(fc.float({ min: -4, max: 4, noNaN: true })), (values) => {
      const error = (fourOverSix: boolean) => {
        const decoded = decodeNvfp4(encodeNvfp4(values, { encodeScale: 8, fourOverSix }));
        return values.reduce((sum, value, index) => sum + (decoded[index]! / 8 - value) ** 2, 0);
      };
      assert.ok(error(true) <= error(false) * (1 + 1e-5) + 1e-12);
    }),
  );
  // 4 hits 4, 3 and 2 exactly where 6 cannot.
  const values = Float32Array.from({ length: 16 }, (_, index) => (index === 0 ? 4 : index === 1 ? 3 : 2));
  const four = encodeNvfp4(values, { fourOverSix: true });
  assert.is(decodeE4m3(four.scales[0]!), 1);
  assert.equal(decodeNvfp4(four), values);
  assert.not.equal(decodeNvfp4(encodeNvfp4(values)), values);
});

test("blocks of zeros, of denormals, and of what is not finite", () => {
  const zeros = encodeNvfp4(new Float32Array(16));
  assert.equal(zeros, { codes: new Uint8Array(8), scales: Uint8Array.of(0) });
  assert.is(nvfp4EncodeScale(0), 1);
  const negative = encodeNvfp4(new Float32Array(16).fill(-0));
  assert.equal(negative.codes, new Uint8Array(8).fill(0x88));
  // Far below the tensor's largest value the scale is zero, and so are the codes.
  const tiny = encodeNvfp4(new Float32Array(16).fill(1e-9));
  assert.equal(tiny, { codes: new Uint8Array(8), scales: Uint8Array.of(0) });
  const denormal = new Float32Array(16).fill(2 ** -149);
  const scaled = encodeNvfp4(denormal, { encodeScale: nvfp4EncodeScale(2 ** -149) });
  assert.ok(scaled.scales[0]! <= 0x7e);
  for (const broken of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    const values = new Float32Array(32).fill(1);
    values[3] = broken;
    const encoded = encodeNvfp4(values);
    assert.is(encoded.scales[0], 0x7f);
    assert.equal(encoded.codes.slice(0, 8), new Uint8Array(8));
    assert.ok(decodeNvfp4(encoded).slice(0, 16).every(Number.isNaN));
    assert.ok(decodeNvfp4(encoded).slice(16).every(Number.isFinite));
  }
});

test("any finite values have finite scales", () => {
  fc.assert(
    fc.property(blocksOf(finite), (values) => {
      const amax = Math.max(...values.map((value) => Math.abs(Math.fround(value))));
      const { scales } = encodeNvfp4(values, { encodeScale: nvfp4EncodeScale(amax) });
      assert.ok(scales.every((scale) => scale <= 0x7e));
    }),
  );
});

test("rounding by chance takes both neighbours as often as their distance says, and none but them", () => {
  for (const value of [0.1, 0.6, 1.9, 2.25, 4.5, 5.9, 6]) {
    let sum = 0;
    for (let bits = 0; bits < 0x10000; bits += 16) {
      const decoded = decodeE2m1(encodeE2m1With(value, bits));
      assert.ok(Math.abs(decoded - value) < 2);
      sum += decoded;
    }
    assert.ok(Math.abs(sum / 4096 - value) < 1e-3, `${value} became ${sum / 4096}`);
    assert.is(encodeE2m1With(-value, 77), encodeE2m1With(value, 77) | 8);
  }
  for (const [code, value] of e2m1.entries()) assert.is(encodeE2m1With(value, 0), code);
  const bits = (index: number) => (index * 40503) & 0xffff;
  const free = encodeNvfp4(new Float32Array(16).fill(0.01).fill(6, 0, 1), { bits, nonZero: true });
  for (const byte of free.codes) assert.ok((byte & 7) > 0 && (byte >> 4) % 8 > 0);
});

test("without zero, scales are rounded up: nothing is cut off, and no block vanishes", () => {
  for (let exponent = -30; exponent <= 11; exponent++)
    for (const fraction of [1, 1.06, 1.2, 1.3]) {
      const largest = Math.fround(fraction * 2 ** exponent);
      if (largest > 2688) continue;
      const { scales } = encodeNvfp4(new Float32Array(16).fill(largest, 0, 1), { nonZero: true });
      const scale = decodeE4m3(scales[0]!);
      assert.ok(6 * scale * (1 + 2 ** -23) >= largest, `${largest} under ${scale}`);
      const below = decodeE4m3(scales[0]! - 1);
      assert.ok(6 * below < largest, `${largest} would fit under ${below}`);
    }
});

test.run();
