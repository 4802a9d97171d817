/**
 * NVFP4: blocks of 16 elements in E2M1 that share a scale in E4M3, and one f32 scale for the tensor. 4.5 bits an element.
 *
 * This is the definition; kernels give the same bytes. All arithmetic is that of f32, one rounding for each operation.
 *
 *     encodeScale = 2688 / amax(tensor)             decodeScale = 1 / encodeScale
 *     scale = e4m3(amax(block) * encodeScale / 6)   code = e2m1(x / (scale * decodeScale))
 *
 * NVIDIA: Pretraining large language models with NVFP4 (2025). Cook et al.: Four over six (2025).
 */
import { decodeE2m1, encodeE2m1, encodeE2m1With, largestE2m1 } from "./e2m1.ts";
import { decodeE4m3, encodeE4m3, encodeE4m3Upward, largestE4m3, nanE4m3 } from "./e4m3.ts";

/** Elements of a block. */
export const nvfp4Block = 16;

/** Rows without padding, as files have them. */
export interface Nvfp4Values {
  /** Two codes a byte, the first of them in the low half. */
  readonly codes: Uint8Array;
  /** One E4M3 code a block. */
  readonly scales: Uint8Array;
}

export interface Nvfp4Options {
  /** By what values are multiplied before they are encoded. Default 1. */
  readonly encodeScale?: number;
  /** Tries for each block whether 4 or 6 as its largest code gives the smaller squared error; 6 where they are equal. */
  readonly fourOverSix?: boolean;
  /** 16 random bits for an element: codes are rounded up or down by chance. */
  readonly bits?: (index: number) => number;
  /**
   * No code of zero: 0.5 takes its place; and scales are rounded up, so that no element is cut off, and no block has the
   * scale 0 but for one of zeros. For what is divided by, and grows by steps that are smaller than those of the scales.
   */
  readonly nonZero?: boolean;
}

const round = Math.fround;
const largestF32 = (2 - 2 ** -23) * 2 ** 127;

/** `encodeScale` of a tensor: 2688 over the largest magnitude, 1 for a tensor of zeros. */
export function nvfp4EncodeScale(amax: number): number {
  return amax === 0 ? 1 : Math.min(round((largestE2m1 * largestE4m3) / round(amax)), largestF32);
}

/** The largest magnitude; NaN where an element is not finite. */
function amaxOf(values: ArrayLike<number>, begin: number): number {
  let amax = 0;
  for (let i = begin; i < begin + nvfp4Block; i++) {
    const magnitude = Math.abs(round(values[i]!));
    if (!(magnitude < Number.POSITIVE_INFINITY)) return Number.NaN;
    if (magnitude > amax) amax = magnitude;
  }
  return amax;
}

/**
 * @param values whole blocks, read as f32
 * @returns their codes. A block with an element that is not finite has the scale NaN and codes of zero.
 */
export function encodeNvfp4(values: ArrayLike<number>, options: Nvfp4Options = {}): Nvfp4Values {
  const { encodeScale = 1, fourOverSix = false, bits, nonZero = false } = options;
  const encodeScaleOfBlock = nonZero ? encodeE4m3Upward : encodeE4m3;
  const blocks = values.length / nvfp4Block;
  const codes = new Uint8Array(values.length / 2);
  const scales = new Uint8Array(blocks);
  const decodeScale = round(1 / round(encodeScale));
  const own = new Uint8Array(nvfp4Block);
  const other = new Uint8Array(nvfp4Block);

  /** Fills `into` and gives the squared error. */
  const encodeBlock = (begin: number, scale: number, into: Uint8Array): number => {
    const unit = round(decodeE4m3(scale) * decodeScale);
    let error = 0;
    for (let i = 0; i < nvfp4Block; i++) {
      const value = round(values[begin + i]!);
      // Without a scale nothing but zero can be meant.
      const scaled = unit === 0 ? (Object.is(value, -0) || value < 0 ? -0 : 0) : round(value / unit);
      const code = bits === undefined ? encodeE2m1(scaled) : encodeE2m1With(scaled, bits(begin + i));
      into[i] = nonZero && (code & 7) === 0 ? code | 1 : code;
      const difference = round(value - round(decodeE2m1(into[i]!) * unit));
      error = round(error + round(difference * difference));
    }
    return error;
  };

  for (let block = 0; block < blocks; block++) {
    const begin = block * nvfp4Block;
    const amax = amaxOf(values, begin);
    if (Number.isNaN(amax)) {
      scales[block] = nanE4m3;
      continue;
    }
    const scaled = round(amax * round(encodeScale));
    let scale = encodeScaleOfBlock(round(scaled / largestE2m1));
    let chosen = own;
    const error = encodeBlock(begin, scale, own);
    if (fourOverSix) {
      const wider = encodeScaleOfBlock(round(scaled / 4));
      if (encodeBlock(begin, wider, other) < error) [scale, chosen] = [wider, other];
    }
    scales[block] = scale;
    for (let i = 0; i < nvfp4Block; i += 2) codes[(begin + i) / 2] = chosen[i]! | (chosen[i + 1]! << 4);
  }
  return { codes, scales };
}

/** Code times scale of each element: exact, and in bf16 too. What `encodeScale` was divides it. */
export function decodeNvfp4({ codes, scales }: Nvfp4Values): Float32Array {
  const values = new Float32Array(codes.length * 2);
  for (let i = 0; i < values.length; i++) {
    const code = (codes[i >> 1]! >> (4 * (i & 1))) & 15;
    values[i] = decodeE2m1(code) * decodeE4m3(scales[Math.floor(i / nvfp4Block)]!);
  }
  return values;
}
