/** Element types of safetensors files, and exact conversions between the floating point ones and f32. */

/** Bits per element of every type that the format defines. */
export const dtypeBits = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  F64: 64,
  I64: 64,
  U64: 64,
  C64: 64,
} as const;

/** A type as safetensors spells it. */
export type TensorDtype = keyof typeof dtypeBits;

export const isTensorDtype = (name: unknown): name is TensorDtype =>
  typeof name === "string" && Object.hasOwn(dtypeBits, name);

/** Bytes of `elements` elements; undefined where they do not fill whole bytes (packed sub-byte types). */
export function bytesOf(dtype: TensorDtype, elements: number): number | undefined {
  const bits = elements * dtypeBits[dtype];
  return Number.isSafeInteger(bits) && bits % 8 === 0 ? bits / 8 : undefined;
}

/** bf16 is the upper half of f32: exact. */
export function bfloat16ToFloat32(source: Uint16Array): Float32Array {
  const bits = new Uint32Array(source.length);
  for (let index = 0; index < source.length; index++) bits[index] = source[index]! << 16;
  return new Float32Array(bits.buffer);
}

let halfTable: Float32Array | undefined;

/** All 65,536 values of f16, built at first use: a table is faster than the arithmetic. */
function halfValues(): Float32Array {
  if (halfTable !== undefined) return halfTable;
  halfTable = new Float32Array(65_536);
  for (let bits = 0; bits < 65_536; bits++) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    halfTable[bits] =
      exponent === 31
        ? fraction === 0
          ? sign * Number.POSITIVE_INFINITY
          : Number.NaN
        : exponent === 0
          ? sign * fraction * 2 ** -24
          : sign * (1024 + fraction) * 2 ** (exponent - 25);
  }
  return halfTable;
}

/** Every f16 is an f32: exact. */
export function float16ToFloat32(source: Uint16Array): Float32Array {
  const table = halfValues();
  const target = new Float32Array(source.length);
  for (let index = 0; index < source.length; index++) target[index] = table[source[index]!]!;
  return target;
}

/** Rounds to nearest, ties to even; NaN stays NaN (quiet), too large becomes infinity. */
export function float32ToBfloat16(source: Float32Array): Uint16Array {
  const target = new Uint16Array(source.length);
  const bits = new Uint32Array(source.buffer, source.byteOffset, source.length);
  for (let index = 0; index < source.length; index++) {
    const word = bits[index]!;
    const notANumber = (word & 0x7fffffff) > 0x7f800000;
    target[index] = notANumber ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return target;
}

/** Rounds to nearest, ties to even; NaN stays NaN (quiet), too large becomes infinity. */
export function float32ToFloat16(source: Float32Array): Uint16Array {
  const target = new Uint16Array(source.length);
  const bits = new Uint32Array(source.buffer, source.byteOffset, source.length);
  for (let index = 0; index < source.length; index++) target[index] = halfBits(bits[index]!);
  return target;
}

function halfBits(word: number): number {
  const sign = (word >>> 16) & 0x8000;
  const magnitude = word & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  // 65520 is half way between the largest f16 and the next power of two; ties go to the even one, infinity.
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude >= 0x38800000) {
    const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
    return sign | ((rounded >>> 13) - (112 << 10));
  }
  const exponent = magnitude >>> 23;
  // Below half of the smallest subnormal (2^-25 itself is the tie, which goes to zero).
  if (exponent < 102) return sign;
  const fraction = (magnitude & 0x7fffff) | 0x800000;
  const shift = 126 - exponent;
  const half = 2 ** (shift - 1);
  const kept = Math.floor(fraction / 2 ** shift);
  const rest = fraction - kept * 2 ** shift;
  return sign | (kept + (rest > half || (rest === half && kept % 2 === 1) ? 1 : 0));
}
