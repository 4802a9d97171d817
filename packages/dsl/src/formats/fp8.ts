/**
 * FP8 with a scale for each row: elements in E4M3, and an f32 number by which those of a row are multiplied. 8 bits an
 * element, and 32 a row.
 *
 * This is the definition; kernels give the same bytes. All arithmetic is that of f32, one rounding for each operation.
 *
 *     scale = amax(row) / 448     code = e4m3(x / scale)
 *
 * Micikevicius et al.: FP8 formats for deep learning (2022).
 */
import { decodeE4m3, encodeE4m3, largestE4m3 } from "./e4m3.ts";

/** Rows without padding. */
export interface Fp8Values {
  /** One E4M3 code for each element. */
  readonly codes: Uint8Array;
  /** One scale for each row. */
  readonly scales: Float32Array;
}

const round = Math.fround;
const smallestNormal = 2 ** -126;

/**
 * The scale of a row with this largest magnitude. 1 for a row of zeros: any would do, and this one is exact. At least the
 * smallest normal f32, because a scale without all its bits would move the whole row. NaN where the magnitude is not finite.
 */
export function fp8Scale(amax: number): number {
  if (!(round(amax) < Number.POSITIVE_INFINITY)) return Number.NaN;
  return amax === 0 ? 1 : Math.max(round(round(amax) / largestE4m3), smallestNormal);
}

/**
 * @param values whole rows, read as f32
 * @param columns elements of a row
 * @returns their codes. A row with an element that is not finite has the scale NaN and codes of zero.
 */
export function encodeFp8(values: ArrayLike<number>, columns: number): Fp8Values {
  const codes = new Uint8Array(values.length);
  const scales = new Float32Array(values.length / columns);
  for (const row of scales.keys()) {
    const begin = row * columns;
    let amax = 0;
    for (let i = begin; i < begin + columns; i++) {
      const magnitude = Math.abs(round(values[i]!));
      amax = Number.isNaN(magnitude) || Number.isNaN(amax) ? Number.NaN : Math.max(amax, magnitude);
    }
    const scale = fp8Scale(amax);
    scales[row] = scale;
    if (Number.isNaN(scale)) continue;
    for (let i = begin; i < begin + columns; i++) codes[i] = encodeE4m3(round(round(values[i]!) / scale));
  }
  return { codes, scales };
}

/** Code times scale of each element, rounded to f32. */
export function decodeFp8({ codes, scales }: Fp8Values): Float32Array {
  const columns = codes.length / scales.length;
  return Float32Array.from(codes, (code, i) => decodeE4m3(code) * scales[Math.floor(i / columns)]!);
}
