/** What quantisation has done to some rows, in one pass over their blocks. */
import { decodeE2m1, decodeE4m3, nvfp4Block } from "@weft/dsl";

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
const scalesOf = Float64Array.from({ length: 256 }, (_, code) => decodeE4m3(code));

/**
 * @param factor the scale of the tensor, to multiply by
 * @param originals what was encoded; left out, errors are not counted
 */
export function addBlocks(
  sums: BlockSums,
  codes: Uint8Array,
  scales: Uint8Array,
  factor: number,
  originals?: Float32Array,
): void {
  const half = nvfp4Block / 2;
  for (let block = 0; block < scales.length; block++) {
    const unit = scalesOf[scales[block]!]! * factor;
    let largest = 0;
    let bits = 0;
    for (let at = block * half; at < (block + 1) * half; at++) {
      const pair = codes[at]!;
      bits |= pair;
      const [low, high] = [elements[pair & 15]! * unit, elements[pair >> 4]! * unit];
      largest = Math.max(largest, Math.abs(low), Math.abs(high));
      if (originals === undefined) continue;
      const [first, second] = [originals[2 * at]!, originals[2 * at + 1]!];
      sums.error += (first - low) ** 2 + (second - high) ** 2;
      sums.power += first * first + second * second;
    }
    // Without the signs.
    if ((bits & 0x77) === 0) sums.zeroBlocks++;
    sums.amax = Math.max(sums.amax, largest);
  }
  sums.blocks += scales.length;
}
