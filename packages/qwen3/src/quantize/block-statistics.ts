/** What quantisation has done to some rows, summed up piece by piece. */
import { decodeE2m1, decodeE4m3, nvfp4Block } from "@weft/dsl";
import type { Nvfp4Statistics } from "@weft/runtime-cpu";

export interface BlockSums {
  blocks: number;
  /** Blocks whose 16 codes are all zero. */
  zeroBlocks: number;
  /** Largest magnitude of the decoded values. */
  amax: number;
  /** Sum of the squared differences to the originals, and of the squared originals. */
  error: number;
  power: number;
}

export const noBlocks = (): BlockSums => ({ blocks: 0, zeroBlocks: 0, amax: 0, error: 0, power: 0 });

const elements = Float64Array.from({ length: 16 }, (_, code) => decodeE2m1(code));
const largestOfPair = Float64Array.from({ length: 256 }, (_, pair) =>
  Math.max(Math.abs(elements[pair & 15]!), Math.abs(elements[pair >> 4]!)),
);
const scalesOf = Float64Array.from({ length: 256 }, (_, code) => decodeE4m3(code));
const half = nvfp4Block / 2;

/**
 * Counts blocks and their largest magnitudes.
 * @param factor the scale of the tensor, to multiply by
 */
export function addBlocks(sums: BlockSums, codes: Uint8Array, scales: Uint8Array, factor: number): void {
  let { zeroBlocks, amax } = sums;
  for (let block = 0, at = 0; block < scales.length; block++) {
    let largest = 0;
    for (const end = at + half; at < end; at++) {
      const own = largestOfPair[codes[at]!]!;
      if (own > largest) largest = own;
    }
    if (largest === 0) zeroBlocks++;
    const magnitude = largest * scalesOf[scales[block]!]! * factor;
    if (magnitude > amax) amax = magnitude;
  }
  sums.blocks += scales.length;
  sums.zeroBlocks = zeroBlocks;
  sums.amax = amax;
}

/** Adds what was counted while values were encoded. */
export function addStatistics(sums: BlockSums, blocks: number, own: Nvfp4Statistics): void {
  sums.blocks += blocks;
  sums.zeroBlocks += own.zeroBlocks;
  sums.amax = Math.max(sums.amax, own.amax);
  sums.error += own.error;
  sums.power += own.power;
}
