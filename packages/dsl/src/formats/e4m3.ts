/**
 * E4M3FN, eight bits s eeee mmm: exponent bias 7, no infinity, largest value 448, smallest 2^-9, and one NaN for each sign.
 *
 * Micikevicius et al.: FP8 formats for deep learning (2022).
 */

export const largestE4m3 = 448;
/** NaN without a sign. */
export const nanE4m3 = 0x7f;

const magnitudes = Float64Array.from({ length: 128 }, (_, code) => {
  const [exponent, fraction] = [code >> 3, code & 7];
  if (code === nanE4m3) return Number.NaN;
  return exponent === 0 ? fraction * 2 ** -9 : (8 + fraction) * 2 ** (exponent - 10);
});

/** @param code 0 to 255 */
export function decodeE4m3(code: number): number {
  const magnitude = magnitudes[code & 0x7f]!;
  return code & 0x80 ? -magnitude : magnitude;
}

/** The smallest code that is not below a magnitude; 448 for what is too large. */
export function encodeE4m3Upward(magnitude: number): number {
  const nearest = encodeE4m3(magnitude);
  return nearest < 0x7e && magnitudes[nearest]! < magnitude ? nearest + 1 : nearest;
}

/** To nearest, ties to even; what is too large becomes 448, infinity too. */
export function encodeE4m3(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x80 : 0;
  const magnitude = Math.abs(value);
  if (Number.isNaN(magnitude)) return nanE4m3;
  if (magnitude >= largestE4m3) return sign | 0x7e;
  // Codes ascend with their values: the one below, by halving, and its neighbour.
  let [low, high] = [0, 0x7e];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (magnitudes[middle]! <= magnitude) low = middle;
    else high = middle;
  }
  const [below, above] = [magnitude - magnitudes[low]!, magnitudes[high]! - magnitude];
  const isUp = above < below || (above === below && (low & 1) === 1);
  return sign | (isUp ? high : low);
}
