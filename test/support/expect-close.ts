/** Compares tensors within a tolerance, and says which element is worst and by how much. */
import type { TensorArray } from "@weft/dsl";
import * as assert from "uvu/assert";

export interface Tolerance {
  readonly absolute?: number;
  readonly relative?: number;
}

/**
 * Asserts equal axes and, at every place, `|actual - expected| <= absolute + relative * |expected|`. Equal infinities and
 * two NaN agree.
 */
export function expectClose(
  actual: TensorArray,
  expected: TensorArray,
  { absolute = 1e-9, relative = 1e-9 }: Tolerance = {},
  label = "value",
): void {
  assert.equal(actual.axes, expected.axes, `${label}: axes`);
  assert.is(actual.data.length, expected.data.length, `${label}: number of elements`);
  let worst = 0;
  let place = -1;
  for (let i = 0; i < expected.data.length; i++) {
    const [a, b] = [actual.data[i]!, expected.data[i]!];
    if (Object.is(a, b) || a === b) continue;
    const share = Math.abs(a - b) / (absolute + relative * Math.abs(b));
    if (!(share <= worst)) {
      worst = Number.isNaN(share) ? Number.POSITIVE_INFINITY : share;
      place = i;
    }
  }
  assert.ok(
    worst <= 1,
    `${label}: element ${place} is ${actual.data[place]}, expected ${expected.data[place]} (${worst.toPrecision(3)} times the tolerance)`,
  );
}

/** The same for every output of a run; both must have the same outputs. */
export function expectOutputsClose(
  actual: ReadonlyMap<string, TensorArray>,
  expected: ReadonlyMap<string, TensorArray>,
  tolerance: Tolerance = {},
): void {
  assert.equal([...actual.keys()], [...expected.keys()], "names of the outputs");
  for (const [name, value] of expected) expectClose(actual.get(name)!, value, tolerance, name);
}
