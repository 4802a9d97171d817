/** Random rounding by its definition: which bits an element gets, what becomes of each kind of value, and no bias. */
import { axis, philox, randomHalf, roundingKey, roundingStream, roundWith } from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { ruleOf, runOp, tensor } from "../../support/run-op.ts";

const test = suite("random: rounding");

const bitsOf = (value: number) => new Uint32Array(Float32Array.of(value).buffer)[0]!;
const floatOf = (bits: number) => new Float32Array(Uint32Array.of(bits).buffer)[0]!;
const most = 0xffff;

test("eight elements share a block, two halves of each word, the lower first", () => {
  const key = [0xabcdef, 0x123456] as const;
  const words = philox([5, 0, 99, 0], key);
  const halves = Array.from({ length: 8 }, (_, i) => randomHalf(40 + i, key, 99));
  assert.equal(
    halves,
    words.flatMap((word) => [word & 0xffff, word >>> 16]),
  );
  // Beyond 2^32 blocks the counter's second word goes on.
  assert.is(randomHalf(2 ** 35 + 8, key, 99), philox([1, 1, 99, 0], key)[0]! & 0xffff);
});

test("keys and streams are exact in f32, and differ from step to step, seed to seed, name to name", () => {
  const keys = [
    roundingKey(0, 1),
    roundingKey(0, 2),
    roundingKey(1, 1),
    roundingKey(2 ** 52, 1),
    roundingKey(0, 2 ** 40),
  ];
  assert.is(new Set(keys.map(String)).size, keys.length);
  const streams = ["model.norm.weight", "model.layers.0.mlp.up_proj.weight", ""].map(roundingStream);
  assert.is(new Set(streams).size, streams.length);
  for (const word of [...keys.flat(), ...streams]) {
    assert.is(Math.fround(word), word);
    assert.ok(Number.isInteger(word) && word >= 0 && word < 2 ** 24);
  }
});

test("a bf16 stays what it is whatever the bits are; sign, zero, infinity and NaN stay", () => {
  for (let upper = 0; upper < 0x10000; upper += 7) {
    const value = floatOf(upper * 0x10000);
    if (Number.isNaN(value)) continue;
    assert.ok(Object.is(roundWith(value, 0), value));
    assert.ok(Object.is(roundWith(value, most), value), String(value));
  }
  assert.ok(Number.isNaN(roundWith(Number.NaN, most)));
});

test("between two bf16 the bits decide, away from zero at most, and a finite value stays finite", () => {
  const below = floatOf(0x3f80_0000);
  const above = floatOf(0x3f81_0000);
  const quarter = floatOf(0x3f80_4000);
  assert.is(roundWith(quarter, 0xbfff), below);
  assert.is(roundWith(quarter, 0xc000), above);
  assert.is(roundWith(-quarter, 0xbfff), -below);
  assert.is(roundWith(-quarter, 0xc000), -above);
  // A carry through the whole mantissa.
  assert.is(roundWith(floatOf(0x3fff_8000), most), 2);
  // The smallest f32 becomes the smallest bf16 or zero, which keeps the sign.
  const smallest = floatOf(1);
  assert.is(roundWith(smallest, most), floatOf(0x10000));
  assert.ok(Object.is(roundWith(-smallest, most - 1), -0));
  const largest = floatOf(0x7f7f_0000);
  assert.is(roundWith(floatOf(0x7f7f_ffff), most), largest);
  assert.is(roundWith(-3.4e38, most), -largest);
});

test("the mean of many roundings is the value", () => {
  const count = 1 << 17;
  for (const value of [1.0013, -0.300001, 1e-39, 3e30]) {
    const { data } = runOp(
      "stochasticRound",
      [tensor({ n: count }, new Array(count).fill(value)), tensor({}, [7]), tensor({}, [8]), tensor({}, [9])],
      {},
    );
    const exact = Math.fround(value);
    const low = floatOf(Number(BigInt(bitsOf(exact)) & 0xffff0000n));
    const gap = Math.abs(floatOf((bitsOf(exact) & 0x7fff0000) + 0x10000)) - Math.abs(low);
    const share = Math.abs(exact - low) / gap;
    const mean = data.reduce((sum, one) => sum + (one - low) / gap, 0) / count;
    // Five standard deviations of the mean of so many draws.
    const bound = 5 * Math.sqrt((share * (1 - share)) / count);
    assert.ok(Math.abs(Math.abs(mean) - share) <= bound, `${value}: ${mean} where ${share}`);
    assert.is(new Set(data).size, 2);
  }
});

test("type rule: f32, scalars for key and stream, fixed sizes behind the first axis", () => {
  const scalars = ["f32[]", "f32[]", "f32[]"];
  assert.equal(ruleOf("stochasticRound", ["f32[s=seq, a=3]", ...scalars], {}), {
    dtype: "bf16",
    axes: [axis("s", { symbol: "seq", max: 8 }), axis("a", 3)],
  });
  assert.is(ruleOf("stochasticRound", ["bf16[a=3]", ...scalars], {}), "takes f32 tensors");
  assert.is(ruleOf("stochasticRound", ["f32[a=3]", "f32[]", "i32[]", "f32[]"], {}), "takes f32 tensors");
  assert.is(
    ruleOf("stochasticRound", ["f32[a=3]", "f32[a=3]", "f32[]", "f32[]"], {}),
    "the key and the stream must be scalars",
  );
  assert.is(
    ruleOf("stochasticRound", ["f32[a=3, s=seq]", ...scalars], {}),
    'the axis "s" must have a fixed size',
  );
});

test.run();
