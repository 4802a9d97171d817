import { suite } from "uvu";
import * as assert from "uvu/assert";
import { exponentialDecay } from "../../../packages/qwen3/src/sampling/exponential.ts";
import fc from "../../support/fast-check.ts";

const test = suite("qwen3/sampling: exponential");

test("agrees with Math.exp to 1e-13", () => {
  const agrees = (x: number) => {
    const expected = Math.exp(-x);
    assert.ok(
      Math.abs(exponentialDecay(x) - expected) <= 1e-13 * expected,
      `exp(-${x}): ${exponentialDecay(x)}, ${expected}`,
    );
  };
  for (let x = 0; x < 650; x += 0.37) agrees(x);
  fc.assert(fc.property(fc.double({ min: 0, max: 690, noNaN: true }), agrees), { numRuns: 1000 });
});

test("the ends: 1 at 0, 0 far away", () => {
  assert.is(exponentialDecay(0), 1);
  assert.is(exponentialDecay(1e-300), 1);
  assert.is(exponentialDecay(800), 0);
  assert.is(exponentialDecay(Number.POSITIVE_INFINITY), 0);
});

test.run();
