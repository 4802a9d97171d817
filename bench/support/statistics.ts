/** Medians, spreads and how they are written. */

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** Undefined where there are no values. */
export function spreadOf(values: readonly number[]): Spread | undefined {
  if (values.length === 0) return undefined;
  const sorted = values.toSorted((a, b) => a - b);
  return { median: median(values), min: sorted[0]!, max: sorted.at(-1)! };
}

/** The middle value, or the mean of the two in the middle. NaN where there are no values. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Three significant digits, no exponent. */
export function digits(value: number): string {
  if (!Number.isFinite(value)) return "-";
  const whole = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toFixed(whole);
}

/** `31.2 (30.1..32.0)`, or `-`. */
export function showSpread(spread: Spread | undefined, scale = 1): string {
  if (!spread) return "-";
  const [middle, least, most] = [spread.median, spread.min, spread.max].map((value) => digits(value * scale));
  return least === most ? middle! : `${middle} (${least}..${most})`;
}

export const percent = (share: number): string =>
  Number.isFinite(share) ? `${(share * 100).toFixed(0)} %` : "-";
