/**
 * E2M1, four bits s ee m: 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives. No infinity, no NaN.
 *
 * Open Compute Project: Microscaling formats specification, version 1.0 (2023).
 */

export const largestE2m1 = 6;

const magnitudes = [0, 0.5, 1, 1.5, 2, 3, 4, 6] as const;

/** @param code 0 to 15 */
export function decodeE2m1(code: number): number {
  const magnitude = magnitudes[code & 7]!;
  return code & 8 ? -magnitude : magnitude;
}

/** The code of the largest magnitude that is not above |value|. */
function floorCode(magnitude: number): number {
  let code = 0;
  while (code < 7 && magnitudes[code + 1]! <= magnitude) code++;
  return code;
}

const signOf = (value: number) => (value < 0 || Object.is(value, -0) ? 8 : 0);

/** To nearest, ties to even; beyond 6 it is 6. The sign of zero stays. `value` is a number. */
export function encodeE2m1(value: number): number {
  const magnitude = Math.min(Math.abs(value), largestE2m1);
  const low = floorCode(magnitude);
  if (low === 7) return signOf(value) | low;
  const middle = (magnitudes[low]! + magnitudes[low + 1]!) / 2;
  const isUp = magnitude > middle || (magnitude === middle && (low & 1) === 1);
  return signOf(value) | (isUp ? low + 1 : low);
}

/**
 * Up or down by chance: up where the part above the code below is more than `bits` / 2^16 of the way to the next one.
 * @param bits from 0 to 0xffff
 */
export function encodeE2m1With(value: number, bits: number): number {
  const magnitude = Math.min(Math.abs(value), largestE2m1);
  const low = floorCode(magnitude);
  if (low === 7) return signOf(value) | low;
  const part = (magnitude - magnitudes[low]!) / (magnitudes[low + 1]! - magnitudes[low]!);
  return signOf(value) | (part * 0x10000 > bits ? low + 1 : low);
}
