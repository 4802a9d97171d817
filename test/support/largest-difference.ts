/** The largest absolute difference between two lists of rows; infinite where their sizes differ or a value is NaN. */
export function largestDifference(
  actual: readonly ArrayLike<number>[],
  expected: readonly ArrayLike<number>[],
): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  let worst = 0;
  for (let row = 0; row < expected.length; row++) {
    const [a, b] = [actual[row]!, expected[row]!];
    if (a.length !== b.length) return Number.POSITIVE_INFINITY;
    for (let i = 0; i < b.length; i++) {
      const difference = Math.abs(a[i]! - b[i]!);
      if (!(difference <= worst)) worst = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
    }
  }
  return worst;
}

/** The root of the mean squared difference of two lists of rows of equal sizes; of one list alone, its size. */
export function rootMeanSquareDifference(
  a: readonly ArrayLike<number>[],
  b?: readonly ArrayLike<number>[],
): number {
  let sum = 0;
  let count = 0;
  for (let row = 0; row < a.length; row++) {
    const other = b?.[row];
    for (let i = 0; i < a[row]!.length; i++) sum += (a[row]![i]! - (other?.[i] ?? 0)) ** 2;
    count += a[row]!.length;
  }
  return Math.sqrt(sum / count);
}
