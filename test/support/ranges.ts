/**
 * Interval arithmetic for random graphs: each value carries bounds, so that a generator applies only functions that
 * stay finite and well conditioned.
 */
import { type BinaryFunction, evaluateBinary, evaluateUnary, type UnaryFunction } from "@weft/dsl";

export interface Range {
  readonly low: number;
  readonly high: number;
}

/** Values beyond this are not built upon: f32 must be able to follow the doubles closely. */
export const largest = 64;

export function magnitude({ low, high }: Range): number {
  return Math.max(Math.abs(low), Math.abs(high));
}

export function union(a: Range, b: Range): Range {
  return { low: Math.min(a.low, b.low), high: Math.max(a.high, b.high) };
}

/** Plus or minus `bound`. */
export function within(bound: number): Range {
  return { low: -bound, high: bound };
}

function hull(values: readonly number[]): Range {
  return { low: Math.min(...values), high: Math.max(...values) };
}

function awayFromZero({ low, high }: Range, distance: number): boolean {
  return low >= distance || high <= -distance;
}

/** The range of a function's values, or undefined where the function must not be applied. */
export function unaryRange(name: UnaryFunction, x: Range): Range | undefined {
  switch (name) {
    case "abs":
      return {
        low: awayFromZero(x, 0) ? Math.min(Math.abs(x.low), Math.abs(x.high)) : 0,
        high: magnitude(x),
      };
    case "sin":
    case "cos":
      return within(1);
    case "exp":
      if (x.high > 3) return undefined;
      break;
    case "log":
      if (x.low < 0.1) return undefined;
      break;
    case "sqrt":
    case "rsqrt":
      if (x.low < 0.05) return undefined;
      break;
    case "reciprocal":
      if (!awayFromZero(x, 0.2)) return undefined;
      break;
    // A step: the smallest difference in x may move the result by 1, so the generator applies it to inputs alone.
    case "floor":
    case "neg":
    case "tanh":
    case "sigmoid":
      break;
    default:
      return name satisfies never;
  }
  return hull([evaluateUnary(name, x.low), evaluateUnary(name, x.high)]);
}

/** The same for two arguments; comparisons are left to the caller. */
export function binaryRange(name: BinaryFunction, a: Range, b: Range): Range | undefined {
  if (name === "div" && !awayFromZero(b, 0.2)) return undefined;
  if (name === "pow" && (a.low < 0.2 || magnitude(b) > 3)) return undefined;
  // Every function here is monotone in each argument where it is allowed, so its extremes are at corners.
  const range = hull([a.low, a.high].flatMap((x) => [b.low, b.high].map((y) => evaluateBinary(name, x, y))));
  return magnitude(range) <= largest ? range : undefined;
}
