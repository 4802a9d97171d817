/** One linear in NVFP4 or FP8, a piece of its rows at a time: the one encoder of files that are written and of weights at load. */

import { type Fp8Values, type Nvfp4Values, nvfp4Block } from "@weft/dsl";
import { fp8Encode, nvfp4Encode, nvfp4Statistics } from "@weft/runtime-cpu";
import { addStatistics, type BlockSums, noBlocks } from "./block-statistics.ts";
import type { LinearToEncode } from "./items.ts";
import { storedRows } from "./rows.ts";

/** Where the parts of some rows go, in bytes from the part's beginning; the bytes are valid until the call has ended. */
export interface EncodedParts {
  codes(bytes: Uint8Array, at: number): Promise<void> | void;
  scales(bytes: Uint8Array, at: number): Promise<void> | void;
}

export interface Encoding {
  readonly encodeScale: number;
  readonly fourOverSix: boolean;
}

/** What values are multiplied by that were encoded with a scale. */
export const tensorScaleOf = (encodeScale: number): number => Math.fround(1 / encodeScale);

/** @returns what became of its blocks; only where `counted` */
export async function encodeLinear(
  { entry, dtype }: LinearToEncode,
  { encodeScale, fourOverSix }: Encoding,
  put: EncodedParts,
  counted = true,
): Promise<BlockSums> {
  const sums = noBlocks();
  const columns = entry.shape[1]!;
  let into: Nvfp4Values | undefined;
  for await (const { bytes, first, count } of storedRows(entry)) {
    const blocks = (count * columns) / nvfp4Block;
    if (into?.scales.length !== blocks) into = undefined;
    // What was put is put: its memory takes the next rows.
    into = nvfp4Encode(bytes, dtype, encodeScale, fourOverSix, into);
    if (counted) addStatistics(sums, blocks, nvfp4Statistics(bytes, dtype, into, tensorScaleOf(encodeScale)));
    await put.codes(into.codes, (first * columns) / 2);
    await put.scales(into.scales, (first * columns) / nvfp4Block);
  }
  return sums;
}

/**
 * One linear in FP8. A row with an element that is not finite has the scale NaN.
 * @param onBytes told of bytes that were read and made
 */
export async function encodeLinearFp8(
  { entry, dtype }: LinearToEncode,
  into: Fp8Values,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const columns = entry.shape[1]!;
  for await (const { bytes, first } of storedRows(entry)) {
    const { codes, scales } = fp8Encode(bytes, dtype, columns);
    into.codes.set(codes, first * columns);
    into.scales.set(scales, first);
    onBytes(bytes.length + codes.length);
  }
}
