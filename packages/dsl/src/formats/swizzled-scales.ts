/**
 * Block scales as matrix units with FP4 of their own (Blackwell) read them: tiles of 128 rows and 4 blocks, 512 bytes each,
 * in which rows 32 apart lie side by side. No kernel of ours uses such units yet, so nothing but a test has read it.
 *
 * NVIDIA: cuBLAS library, "1D block scaling factors layout" (CUDA 12.8).
 */

const tileRows = 128;
const tileBlocks = 4;

/** Bytes of the scales of a matrix: rows are padded to 128, blocks of a row to 4. */
export const swizzledBytes = (rows: number, blocks: number): number =>
  Math.ceil(rows / tileRows) * tileRows * Math.ceil(blocks / tileBlocks) * tileBlocks;

/**
 * Where the scale of one block lies.
 * @param blocks of a row, that is 1/16 of its elements
 */
export function swizzledPlace(row: number, block: number, blocks: number): number {
  const tile = Math.floor(row / tileRows) * Math.ceil(blocks / tileBlocks) + Math.floor(block / tileBlocks);
  const inTile = (row % 32) * 16 + (Math.floor(row / 32) % 4) * 4 + (block % tileBlocks);
  return tile * 512 + inTile;
}

/** @param scales one byte for each block, row by row; what is padded becomes zero. */
export function swizzleScales(scales: Uint8Array, blocks: number): Uint8Array {
  const rows = scales.length / blocks;
  const swizzled = new Uint8Array(swizzledBytes(rows, blocks));
  for (let row = 0; row < rows; row++) {
    for (let block = 0; block < blocks; block++)
      swizzled[swizzledPlace(row, block, blocks)] = scales[row * blocks + block]!;
  }
  return swizzled;
}
