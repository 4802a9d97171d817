/** Tiles of a product: their shapes, and the columns of each group that they hold. */
import type { MatmulGroup, PlanDtype } from "../../plan/types.ts";
import type { Code } from "../code.ts";

/** Tiles as gemm.cuh has them. */
export const mma = {
  name: "MmaShape",
  rows: 128,
  columns: 128,
  pitch: 40,
  depth: 32,
  stages: 4,
  outPitch: 132,
};
export const plain = {
  name: "PlainShape",
  rows: 64,
  columns: 64,
  pitch: 17,
  depth: 16,
  stages: 1,
  outPitch: 65,
};
export type Shape = typeof mma;
export const threads = 256;

/** What becomes bf16 on the way to shared memory without rounding: a code of E4M3, and one of E2M1 times its scale. */
export const becomesBf16 = (dtype: PlanDtype): boolean => dtype === "f8e4m3" || dtype === "nvfp4";

/** What tensor cores take as bf16. */
export const isExactInBf16 = (dtype: PlanDtype): boolean => dtype === "bf16" || becomesBf16(dtype);

export interface GroupTiles {
  readonly group: MatmulGroup;
  /** Columns of each weight in a tile. */
  readonly columns: number;
  /** Tiles of all groups before this one's. */
  readonly firstTile: number;
  readonly tiles: number;
  /** Where the sums go when no tile holds a whole row: f32 elements from the beginning of scratch. */
  readonly sumsAt: number | undefined;
}

/** A value that depends on the group that the block's tile belongs to. */
export function chooseByTile(tiled: readonly GroupTiles[], value: (tiles: GroupTiles) => string): string {
  const values = tiled.map(value);
  if (new Set(values).size === 1) return values[0]!;
  return values
    .map((one, index) => {
      const { firstTile, tiles } = tiled[index]!;
      return index === values.length - 1 ? one : `tile < ${firstTile + tiles} ? ${one} : `;
    })
    .join("");
}

export function writeByTile(
  code: Code,
  tiled: readonly GroupTiles[],
  write: (tiles: GroupTiles) => void,
): void {
  for (const [index, tiles] of tiled.entries()) {
    const last = index === tiled.length - 1;
    const condition = last ? "" : `if (tile < ${tiles.firstTile + tiles.tiles})`;
    code.block(index === 0 ? condition : `else ${condition}`.trim(), () => write(tiles));
  }
}
