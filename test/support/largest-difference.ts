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
