/** Comparing tensors within a tolerance. */
import type { TensorArray } from "../graph/tensor-array.ts";
import { TestFailure } from "./failure.ts";

export interface Tolerance {
  /** Default: 1e-9. */
  readonly absolute?: number;
  /** Default: 1e-9. */
  readonly relative?: number;
}

export interface Disagreement {
  /** Index into the data. */
  readonly at: number;
  /** The same by axes: `seq=1, hidden=3`. */
  readonly place: string;
  readonly actual: number;
  readonly expected: number;
  /** How many times the tolerance the two are apart. */
  readonly share: number;
}

export interface Comparison {
  /** How many elements are further apart than the tolerance. */
  readonly count: number;
  readonly first: Disagreement;
  readonly worst: Disagreement;
}

/**
 * Where two tensors of equal axes break `|actual - expected| <= absolute + relative * |expected|`; undefined where they
 * do nowhere. Equal infinities and two NaN agree.
 */
export function compareTensors(
  actual: TensorArray,
  expected: TensorArray,
  { absolute = 1e-9, relative = 1e-9 }: Tolerance = {},
): Comparison | undefined {
  let count = 0;
  let first: Disagreement | undefined;
  let worst: Disagreement | undefined;
  for (let at = 0; at < expected.data.length; at++) {
    const [a, b] = [actual.data[at]!, expected.data[at]!];
    if (Object.is(a, b) || a === b) continue;
    const ratio = Math.abs(a - b) / (absolute + relative * Math.abs(b));
    if (ratio <= 1) continue;
    count++;
    const share = Number.isNaN(ratio) ? Number.POSITIVE_INFINITY : ratio;
    if (worst !== undefined && share <= worst.share) continue;
    worst = { at, place: placeOf(expected, at), actual: a, expected: b, share };
    first ??= worst;
  }
  return first === undefined || worst === undefined ? undefined : { count, first, worst };
}

/** `[seq=1, hidden=3]`: where element `at` lies. */
export function placeOf({ axes }: TensorArray, at: number): string {
  const parts: string[] = [];
  let rest = at;
  for (const { name, size } of axes.toReversed()) {
    parts.unshift(`${name}=${rest % size}`);
    rest = Math.floor(rest / size);
  }
  return `[${parts.join(", ")}]`;
}

/**
 * Asserts equal axes, and agreement at every place.
 * @throws TestFailure that names the first element that differs and the worst one.
 * @example assertClose(actual, expected, { absolute: 1e-6 }, "logits");
 */
export function assertClose(
  actual: TensorArray,
  expected: TensorArray,
  tolerance: Tolerance = {},
  label = "value",
): void {
  const [given, wanted] = [actual, expected].map(({ axes }) =>
    axes.map(({ name, size }) => `${name}=${size}`).join(", "),
  );
  if (given !== wanted) throw new TestFailure(`${label}: axes [${given}], expected [${wanted}]`);
  if (actual.data.length !== expected.data.length) {
    throw new TestFailure(`${label}: ${actual.data.length} elements, expected ${expected.data.length}`);
  }
  const found = compareTensors(actual, expected, tolerance);
  if (found !== undefined) throw new TestFailure(`${label}${formatComparison(found, expected)}`);
}

/** `[seq=1, hidden=3] is 1.5, expected 2 (3.20e+5 times the tolerance); 4 of 12 differ, the worst at ...`. */
export function formatComparison({ count, first, worst }: Comparison, { data }: TensorArray): string {
  const say = ({ place, actual, expected, share }: Disagreement) =>
    `${place} is ${actual}, expected ${expected} (${share.toPrecision(3)} times the tolerance)`;
  const others = count === 1 ? "" : `, the worst: ${worst === first ? "this one" : say(worst)}`;
  return `${say(first)}; ${count} of ${data.length} elements differ${others}`;
}

/**
 * The same for every output of a run; both must have the same outputs, in the same order.
 * @throws TestFailure as `assertClose`.
 */
export function assertOutputsClose(
  actual: ReadonlyMap<string, TensorArray>,
  expected: ReadonlyMap<string, TensorArray>,
  tolerance: Tolerance = {},
): void {
  const [given, wanted] = [actual, expected].map((outputs) => [...outputs.keys()].join(", "));
  if (given !== wanted) throw new TestFailure(`outputs ${given || "(none)"}, expected ${wanted || "(none)"}`);
  for (const [name, value] of expected) assertClose(actual.get(name)!, value, tolerance, name);
}
