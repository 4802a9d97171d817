/** The first pass, which only reads: the largest magnitude of what will be encoded, and everything that is no number. */
import { nvfp4Block, nvfp4EncodeScale } from "@weft/dsl";
import { amax } from "@weft/runtime-cpu";
import * as Either from "fp-ts/lib/Either.js";
import { type Checked, type Problem, unlessProblems } from "../config/problems.ts";
import {
  findNonFinite,
  type Nvfp4Format,
  nonFiniteProblem,
  type QuantizedLinear,
  type StoredWeights,
  scaleCodesOf,
} from "../weights/index.ts";
import { addBlocks, type BlockSums, noBlocks } from "./block-statistics.ts";
import type { LinearToEncode } from "./items.ts";
import { codesOfRows, storedRows } from "./rows.ts";

export interface Measured {
  /** Largest magnitude of each linear to encode, by parameter. */
  readonly amax: ReadonlyMap<string, number>;
  /** Of the linears that are taken as they are. */
  readonly taken: ReadonlyMap<string, BlockSums>;
}

/** Told what has been read; throws where the work is to stop. */
export type OnBytes = (bytes: number) => void;

/** Left: each tensor with NaN, infinity or a broken scale, by its name. */
export async function measure(
  stored: StoredWeights,
  encode: readonly LinearToEncode[],
  onBytes: OnBytes,
): Promise<Checked<Measured>> {
  const largest = await largestMagnitudes(encode, onBytes);
  const problems: Problem[] = Either.isLeft(largest) ? [...largest.left] : [];
  const taken = new Map<string, BlockSums>();
  for (const linear of stored.linears.values()) {
    const sums = await takenSums(linear, onBytes);
    if (Either.isLeft(sums)) problems.push(...sums.left);
    else taken.set(linear.name, sums.right);
  }
  const encoded = new Set(encode.map(({ entry }) => entry.name));
  for (const entry of stored.plain.values()) {
    if (encoded.has(entry.name)) continue;
    const found = await findNonFinite(entry);
    onBytes(entry.end - entry.begin);
    if (Either.isLeft(found)) problems.push(...found.left);
    else if (found.right !== undefined) problems.push(nonFiniteProblem(found.right, entry.file));
  }
  const amax = Either.getOrElse((): ReadonlyMap<string, number> => new Map())(largest);
  return unlessProblems(problems, () => ({ amax, taken }));
}

/** By parameter. Left: each linear with NaN or infinity. */
export async function largestMagnitudes(
  encode: readonly LinearToEncode[],
  onBytes: OnBytes,
): Promise<Checked<ReadonlyMap<string, number>>> {
  const problems: Problem[] = [];
  const largest = new Map<string, number>();
  for (const linear of encode) {
    const own = await amaxOf(linear, onBytes);
    if (Number.isFinite(own)) largest.set(linear.name, own);
    else problems.push(...(await nonFinite(linear)));
  }
  return unlessProblems(problems, () => largest);
}

/** Infinity or NaN where an element is not finite. */
async function amaxOf({ entry, dtype }: LinearToEncode, onBytes: OnBytes): Promise<number> {
  let largest = 0;
  for await (const { bytes } of storedRows(entry)) {
    const own = amax(bytes, dtype);
    if (!Number.isFinite(own)) return own;
    largest = Math.max(largest, own);
    onBytes(bytes.length);
  }
  return largest;
}

/** The first element that is NaN or infinite, if there is one. */
export async function nonFinite({ entry }: LinearToEncode): Promise<readonly Problem[]> {
  const found = await findNonFinite(entry);
  if (Either.isLeft(found)) return found.left;
  return found.right === undefined ? [] : [nonFiniteProblem(found.right, entry.file)];
}

async function takenSums(linear: QuantizedLinear, onBytes: OnBytes): Promise<Checked<BlockSums>> {
  const scales = await scaleCodesOf(linear);
  if (Either.isLeft(scales)) return scales;
  const sums = noBlocks();
  const blocks = linear.shape[1] / nvfp4Block;
  for await (const { bytes: codes, first, count } of codesOfRows(linear)) {
    const own = scales.right.subarray(first * blocks, (first + count) * blocks);
    addBlocks(sums, codes, own, linear.tensorScale);
    onBytes(codes.length);
  }
  onBytes(linear.scales.bytes);
  return Either.right(sums);
}

/** What values are multiplied by before they are encoded; a `.dat` stream has no place for another than 1. */
export const encodeScaleFor = (format: Nvfp4Format, amax: number): number =>
  format === "dat" ? 1 : nvfp4EncodeScale(amax);
