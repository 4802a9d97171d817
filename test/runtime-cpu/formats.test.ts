/** The addon's NVFP4 and FP8 against their definitions, byte for byte. */
import { decodeNvfp4, encodeFp8, encodeNvfp4, nvfp4EncodeScale } from "@weft/dsl";
import { amax, fp8Encode, nvfp4Decode, nvfp4Encode, nvfp4Statistics } from "@weft/runtime-cpu";
import * as fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("NVFP4 on the CPU");

const bytesOf = (values: Float32Array) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

/** The upper halves of floats, as bytes that start at an odd address, and what they mean. */
function asBf16(values: Float32Array): { bytes: Uint8Array; values: Float32Array } {
  const bits = new Uint32Array(values.buffer.slice(0)).map((word) => (word & 0xffff_0000) >>> 0);
  const bytes = new Uint8Array(2 * bits.length + 1).subarray(1);
  for (const [i, word] of bits.entries()) bytes.set([(word >>> 16) & 255, word >>> 24], 2 * i);
  return { bytes, values: new Float32Array(bits.buffer) };
}

/** Blocks of one kind each: near one another, of any magnitude, few and zero, on codes and between them, any floats. */
const element = fc.oneof(
  { weight: 4, arbitrary: fc.float({ min: -8, max: 8, noNaN: true }) },
  { weight: 2, arbitrary: fc.constantFrom(0, -0, 0.25, 0.75, 1.25, 1.75, 2.5, 3.5, -5, 6) },
  { weight: 1, arbitrary: fc.float() },
);
const block = fc.array(element, { minLength: 16, maxLength: 16 });
const tensor = fc
  .array(block, { minLength: 1, maxLength: 20 })
  .map((blocks) => Float32Array.from(blocks.flat()));
const scale = fc.oneof(
  fc.constantFrom(1, 2, 448),
  fc.float({ min: Math.fround(1e-6), max: Math.fround(1e6), noNaN: true }),
);

function sameEncoding(bytes: Uint8Array, dtype: "f32" | "bf16", values: Float32Array, encodeScale: number) {
  for (const fourOverSix of [false, true]) {
    const own = nvfp4Encode(bytes, dtype, encodeScale, fourOverSix);
    const expected = encodeNvfp4(values, { encodeScale, fourOverSix });
    assert.equal(own.codes, expected.codes);
    assert.equal(own.scales, expected.scales);
  }
}

test("encodes to the bytes of the definition", () => {
  fc.assert(
    fc.property(tensor, scale, (values, encodeScale) => {
      sameEncoding(bytesOf(values), "f32", values, encodeScale);
      const halves = asBf16(values);
      sameEncoding(halves.bytes, "bf16", halves.values, encodeScale);
    }),
    { numRuns: 150 },
  );
});

test("encodes a tensor that is longer than a part, by its own scale", () => {
  const values = Float32Array.from({ length: 6 * 1024 + 16 }, (_, i) => Math.sin(i * i) * Math.exp(i / 2000));
  const largest = amax(bytesOf(values), "f32");
  assert.is(
    largest,
    values.reduce((most, value) => Math.max(most, Math.abs(value)), 0),
  );
  sameEncoding(bytesOf(values), "f32", values, nvfp4EncodeScale(largest));
});

test("encodes FP8 to the bytes of the definition", () => {
  const rows = fc
    .tuple(fc.integer({ min: 1, max: 70 }), fc.integer({ min: 1, max: 4 }))
    .chain(([columns, count]) =>
      fc.tuple(
        fc.constant(columns),
        fc.array(element, { minLength: columns * count, maxLength: columns * count }),
        fc.constantFrom(1, 2 ** -30, 2 ** -140, 2 ** 120),
      ),
    );
  const sameBytes = (bytes: Uint8Array, dtype: "f32" | "bf16", values: Float32Array, columns: number) => {
    const own = fp8Encode(bytes, dtype, columns);
    const expected = encodeFp8(values, columns);
    assert.equal(own.codes, expected.codes);
    // As arrays, in which NaN is NaN.
    assert.equal([...own.scales], [...expected.scales]);
  };
  fc.assert(
    fc.property(rows, ([columns, given, factor]) => {
      const values = Float32Array.from(given, (value) => value * factor);
      sameBytes(bytesOf(values), "f32", values, columns);
      const halves = asBf16(values);
      sameBytes(halves.bytes, "bf16", halves.values, columns);
    }),
    { numRuns: 200 },
  );
  // Rows that are longer than what is converted at once, the largest magnitude in any part.
  const long = Float32Array.from({ length: 2 * 5000 }, (_, i) => Math.sin(i * i) * (i === 4990 ? 9 : 1));
  sameBytes(bytesOf(long), "f32", long, 5000);
  sameBytes(bytesOf(long.fill(Number.NaN, 3, 4)), "f32", long, 5000);
  assert.throws(() => fp8Encode(bytesOf(long), "f32", 4999), /no whole number of rows of 4999/);
  assert.throws(() => fp8Encode(bytesOf(long), "f32", 0), /no whole number of rows/);
});

test("encodes into arrays that are given, parts of larger ones too", () => {
  const values = Float32Array.from({ length: 32 }, (_, i) => i - 16);
  const memory = new Uint8Array(40).fill(255);
  const into = { codes: memory.subarray(3, 19), scales: memory.subarray(30, 32) };
  const own = nvfp4Encode(bytesOf(values), "f32", 1, false, into);
  const expected = encodeNvfp4(values);
  assert.is(own.codes, into.codes);
  assert.equal([...into.codes], [...expected.codes]);
  assert.equal([...into.scales], [...expected.scales]);
  const around = [...memory.subarray(0, 3), ...memory.subarray(19, 30), ...memory.subarray(32)];
  assert.ok(around.every((byte) => byte === 255));
});

test("decodes every code under every scale", () => {
  const scales = Uint8Array.from({ length: 256 }, (_, code) => code);
  const codes = Uint8Array.from({ length: 256 * 8 }, (_, i) => ((2 * i) % 16) | (((2 * i + 1) % 16) << 4));
  const expected = decodeNvfp4({ codes, scales });
  const own = nvfp4Decode({ codes, scales });
  assert.is(own.length, expected.length);
  assert.is(
    own.findIndex((value, i) => !Object.is(value, expected[i])),
    -1,
  );
});

test("the largest magnitude, and what is not finite", () => {
  const of = (...values: number[]) => amax(bytesOf(Float32Array.from(values)), "f32");
  assert.is(of(), 0);
  assert.is(of(1, -3, 2), 3);
  assert.is(of(1, Number.NEGATIVE_INFINITY), Number.POSITIVE_INFINITY);
  assert.ok(Number.isNaN(of(Number.NaN, 5)));
  assert.is(amax(asBf16(Float32Array.of(1, -2.5)).bytes, "bf16"), 2.5);
  assert.is(amax(Uint8Array.of(0x00, 0xc2), "f16"), 3);
});

test("what cannot be meant is told", () => {
  const throws = (call: () => unknown, text: RegExp) =>
    assert.throws(call, (error: Error) => text.test(error.message));
  throws(() => nvfp4Encode(new Uint8Array(68), "f32"), /17 elements are no whole number of blocks of 16/);
  throws(() => nvfp4Encode(new Uint8Array(63), "bf16"), /63 bytes are no whole number of bf16/);
  for (const encodeScale of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, 1e-39])
    throws(() => nvfp4Encode(new Uint8Array(64), "f32", encodeScale), /encodeScale must be from 2\^-126/);
  for (const into of [
    { codes: new Uint8Array(7), scales: new Uint8Array(1) },
    { codes: new Uint8Array(8), scales: new Int8Array(1) as unknown as Uint8Array },
  ])
    throws(
      () => nvfp4Encode(new Uint8Array(64), "f32", 1, false, into),
      /into\.\w+ must be a Uint8Array of [18] bytes/,
    );
  throws(() => nvfp4Decode({ codes: new Uint8Array(9), scales: new Uint8Array(1) }), /9 bytes, but 1 scales/);
  throws(() => amax(new Uint8Array(4), "i32" as "f32"), /dtype must be f32, bf16 or f16, not i32/);
});

/** Finite values of which some blocks become zeros, longer than one pass of the kernels. */
const manyBlocks = Float32Array.from({ length: 16 * 300 }, (_, i) =>
  i % 160 < 16 ? 1e-9 * (i % 7) : Math.fround(Math.sin(i) * 2 ** (i % 11)),
);

test("statistics are those of the definition's values", () => {
  const halves = asBf16(manyBlocks);
  for (const { bytes, dtype, values } of [
    { bytes: bytesOf(manyBlocks), dtype: "f32", values: manyBlocks },
    { ...halves, dtype: "bf16" },
  ] as const) {
    const encoded = encodeNvfp4(values, { encodeScale: 2 });
    const decoded = Float64Array.from(decodeNvfp4(encoded), (value) => value / 2);
    const own = nvfp4Statistics(bytes, dtype, encoded, 0.5);
    const isZero = (block: number) => decoded.subarray(16 * block, 16 * block + 16).every((one) => one === 0);
    const zeroBlocks = encoded.scales.filter((_, block) => isZero(block)).length;
    assert.ok(zeroBlocks > 0 && zeroBlocks < 300);
    assert.is(own.zeroBlocks, zeroBlocks);
    assert.is(
      own.amax,
      decoded.reduce((most, value) => Math.max(most, Math.abs(value)), 0),
    );
    const error = values.reduce((sum, value, i) => sum + (value - decoded[i]!) ** 2, 0);
    const power = values.reduce((sum, value) => sum + value ** 2, 0);
    assert.ok(error > 0 && Math.abs(own.error / error - 1) < 1e-12);
    assert.ok(Math.abs(own.power / power - 1) < 1e-12);
  }
  assert.equal(
    nvfp4Statistics(new Uint8Array(0), "f16", { codes: new Uint8Array(0), scales: new Uint8Array(0) }),
    {
      zeroBlocks: 0,
      amax: 0,
      error: 0,
      power: 0,
    },
  );
  assert.throws(
    () => nvfp4Statistics(new Uint8Array(64), "f32", { codes: new Uint8Array(8), scales: new Uint8Array(2) }),
    /8 and 2 bytes are not those of 16 elements/,
  );
});

test.run();
