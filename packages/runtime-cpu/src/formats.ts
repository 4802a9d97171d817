/**
 * NVFP4 and FP8 by the vector kernels, for programs that convert weights. All of it is done before a call returns, on its thread:
 * give tensors of any size in slices of some megabytes.
 */
import type { Fp8Values, Nvfp4Values } from "@weft/dsl";
import { nativeCall } from "@weft/runtime";
import { addon } from "./addon.ts";

const native = nativeCall("runtime-cpu");

/** How the elements of a tensor lie in a file, little-endian. */
type FloatDtype = "f32" | "bf16" | "f16";

/**
 * The bytes that `encodeNvfp4` gives, at some gigabytes of f32 per second and thread.
 * @param values bytes of whole blocks of 16 elements; of any alignment
 * @param encodeScale by what values are multiplied first (`nvfp4EncodeScale`), from 2^-126 to the largest f32
 * @param fourOverSix tries 4 and 6 as the largest code of each block
 * @param into is filled and returned, where it is given: half a byte of codes for each element, a scale for each block
 * @returns two codes a byte, and one scale for each block. A block with an element that is not finite has the scale NaN.
 * @throws WeftError for elements that fill no whole blocks, a scale out of range, and arrays of another size.
 * @example
 * const { codes, scales } = nvfp4Encode(bytes, "bf16", nvfp4EncodeScale(amax(bytes, "bf16")));
 */
export function nvfp4Encode(
  values: Uint8Array,
  dtype: FloatDtype,
  encodeScale = 1,
  fourOverSix = false,
  into?: Nvfp4Values,
): Nvfp4Values {
  return native(() =>
    addon().nvfp4Encode(values, dtype, encodeScale, fourOverSix, into?.codes, into?.scales),
  );
}

/**
 * The bytes that `encodeFp8` gives.
 * @param values bytes of whole rows, of any alignment
 * @param columns elements of a row
 * @returns a code for each element, and a scale for each row. A row with an element that is not finite has the scale NaN.
 * @throws WeftError for elements that fill no whole rows.
 * @example
 * const { codes, scales } = fp8Encode(bytes, "bf16", 1024);
 */
export function fp8Encode(values: Uint8Array, dtype: FloatDtype, columns: number): Fp8Values {
  return native(() => addon().fp8Encode(values, dtype, columns));
}

/**
 * Code times scale of each element, exact: what `decodeNvfp4` gives.
 * @throws WeftError when there are not eight bytes of codes for each scale.
 */
export function nvfp4Decode({ codes, scales }: Nvfp4Values): Float32Array {
  return native(() => addon().nvfp4Decode(codes, scales));
}

/** What encoding has done to some values. */
export interface Nvfp4Statistics {
  /** Blocks whose 16 codes are all zero. */
  readonly zeroBlocks: number;
  /** Largest magnitude of the decoded values. */
  readonly amax: number;
  /** Sum of the squared differences to the values, in f64. */
  readonly error: number;
  /** Sum of the squared values, in f64. */
  readonly power: number;
}

/**
 * Holds codes and block scales against what was encoded.
 * @param values bytes of finite elements, of any alignment
 * @param tensorScale by what decoded values are multiplied
 * @throws WeftError where codes and scales are not those of so many elements.
 */
export function nvfp4Statistics(
  values: Uint8Array,
  dtype: FloatDtype,
  { codes, scales }: Nvfp4Values,
  tensorScale = 1,
): Nvfp4Statistics {
  return native(() => addon().nvfp4Statistics(values, dtype, codes, scales, tensorScale));
}

/**
 * The largest magnitude, 0 of no elements. NaN where an element is NaN, and infinity where one is infinite and none NaN.
 * @param values bytes of the dtype, of any alignment
 */
export function amax(values: Uint8Array, dtype: FloatDtype): number {
  return native(() => addon().amax(values, dtype));
}
