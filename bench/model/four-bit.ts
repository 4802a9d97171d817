/**
 * llama.cpp's types of 4 bits for the weights of a GGUF file. Both have blocks of 32 values along a row: a scale, then 16
 * bytes, byte j with the code of value j in its low half and that of value j + 16 in its high half.
 *
 * - `q4_0`: the scale d in f16; value = d * (code - 8). The value of the largest magnitude gets the code 0, so d is that
 *   value over -8.
 * - `mxfp4`: the scale is a power of two, one byte with its exponent plus 127; codes are E2M1 (OCP microscaling formats).
 *   The exponent is two less than that of the largest magnitude; what lies above 6 then becomes 6.
 */
import { float32ToFloat16 } from "@weft/qwen3";
import type { Store } from "./write-file.ts";

export type FourBitType = "q4_0" | "mxfp4";

export const blockElements = 32;
const half = blockElements / 2;

/** Bytes of one block. */
export const blockBytes: Readonly<Record<FourBitType, number>> = { q4_0: 2 + half, mxfp4: 1 + half };

/** Gives the bytes of the blocks that bits of bf16 numbers make; the count must be a multiple of 32. */
export const encoders: Readonly<Record<FourBitType, Store>> = {
  q4_0: (bits) => encode(bits, blockBytes.q4_0, q4_0Block),
  mxfp4: (bits) => encode(bits, blockBytes.mxfp4, mxfp4Block),
};

/** Encodes the 32 values from `first` on into `codes`, writes the scale at `at`, and says how many bytes that takes. */
type BlockEncoder = (
  values: Float32Array,
  first: number,
  codes: Uint8Array,
  bytes: Uint8Array,
  at: number,
) => number;

function encode(bits: Uint16Array, size: number, encodeBlock: BlockEncoder): Uint8Array {
  if (bits.length % blockElements !== 0) {
    throw new Error(`[bench] ${bits.length} values are no whole number of blocks of ${blockElements}`);
  }
  const wide = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) wide[i] = bits[i]! << 16;
  const values = new Float32Array(wide.buffer);
  const bytes = new Uint8Array((bits.length / blockElements) * size);
  const codes = new Uint8Array(blockElements);
  for (let first = 0, at = 0; first < values.length; first += blockElements, at += size) {
    const begin = at + encodeBlock(values, first, codes, bytes, at);
    for (let j = 0; j < half; j++) bytes[begin + j] = codes[j]! | (codes[j + half]! << 4);
  }
  return bytes;
}

const scale = new Float32Array(1);

const q4_0Block: BlockEncoder = (values, first, codes, bytes, at) => {
  let largest = 0;
  for (let i = first; i < first + blockElements; i++) {
    if (Math.abs(values[i]!) > Math.abs(largest)) largest = values[i]!;
  }
  // Not -0, where all are 0.
  scale[0] = largest === 0 ? 0 : largest / -8;
  const inverse = scale[0] === 0 ? 0 : Math.fround(1 / scale[0]);
  for (let i = 0; i < blockElements; i++) {
    const code = Math.trunc(Math.fround(Math.fround(values[first + i]! * inverse) + 8.5));
    codes[i] = Math.min(15, code);
  }
  const [stored] = float32ToFloat16(scale);
  bytes[at] = stored! & 0xff;
  bytes[at + 1] = stored! >>> 8;
  return 2;
};

const bias = 127;
const negative = 8;

const mxfp4Block: BlockEncoder = (values, first, codes, bytes, at) => {
  let largest = 0;
  for (let i = first; i < first + blockElements; i++) {
    const magnitude = Math.abs(values[i]!);
    if (magnitude > largest) largest = magnitude;
  }
  const exponent = largest === 0 ? 0 : Math.max(0, exponentOf(largest) - 2 + bias);
  const inverse = 2 ** (bias - exponent);
  for (let i = 0; i < blockElements; i++) {
    const value = values[first + i]! * inverse;
    const code = magnitudeCode(Math.abs(value));
    codes[i] = code > 0 && value < 0 ? code | negative : code;
  }
  bytes[at] = exponent;
  return 1;
};

/** Of E2M1, the nearest; half-way between two the smaller one. */
function magnitudeCode(x: number): number {
  if (x > 1.75) return x > 3.5 ? (x > 5 ? 7 : 6) : x > 2.5 ? 5 : 4;
  return x > 0.75 ? (x > 1.25 ? 3 : 2) : x > 0.25 ? 1 : 0;
}

const float = new Float32Array(1);
const floatBits = new Uint32Array(float.buffer);

/** floor(log2(value)) of a positive number that is not denormal. */
function exponentOf(value: number): number {
  float[0] = value;
  return ((floatBits[0]! >>> 23) & 0xff) - bias;
}
