/**
 * Many rows against weights: tiles of the result, on tensor cores where the inputs are bf16. A prologue that computes
 * anything runs first, once, into scratch; an epilogue takes its rows from the tile in shared memory. Rows that do not fit
 * a tile go through scratch as well, and an extra launch finishes them.
 */
import type { MatmulGroup, MatmulKernel } from "../../plan/types.ts";
import { type Code, storageBytes, storageType, symbolName } from "../code.ts";
import {
  constant,
  flatTiles,
  framePart,
  type KernelContext,
  type KernelPart,
  type KernelText,
  productText,
  rowsOf,
} from "../kernel.ts";
import { isColumnwise, rowsPrelude } from "../rows/row-shape.ts";
import { fp4Way } from "./fp4-way.ts";
import { writeEpilogue } from "./gemm-epilogue.ts";
import { directSource, writeProducts } from "./gemm-products.ts";
import { alignedScratch, directRead, epiloguePart, prologuePart } from "./gemm-rows.ts";
import {
  chooseByTile,
  type GroupTiles,
  isExactInBf16,
  mma,
  plain,
  type Shape,
  threads,
  writeByTile,
} from "./gemm-tiles.ts";
import { libraryWay } from "./library-way.ts";

export function emitGemm(kernel: MatmulKernel, context: KernelContext): KernelText {
  const { symbolMax, name, about } = context;
  const rows = rowsOf(kernel, symbolMax);
  const shape = usesTensorCores(kernel) ? mma : plain;
  const direct = directRead(kernel);
  let scratchBytes = direct ? 0 : alignedScratch(rows * kernel.contracted * storageBytes(kernel.inputDtype));
  let firstTile = 0;
  const tiled = kernel.groups.map((group): GroupTiles => {
    const columns = tileColumns(group, shape);
    const tiles = Math.ceil(group.columns / (columns ?? Math.floor(shape.columns / group.weights.length)));
    let sumsAt: number | undefined;
    if (columns === undefined) {
      sumsAt = scratchBytes / 4;
      scratchBytes += alignedScratch(4 * rows * group.columns * group.weights.length);
    }
    const entry = {
      group,
      columns: columns ?? Math.floor(shape.columns / group.weights.length),
      firstTile,
      tiles,
      sumsAt,
    };
    firstTile += tiles;
    return entry;
  });
  const parts: KernelPart[] = [];
  const prologue = direct ? undefined : prologuePart(kernel, `${name}_x`, context);
  if (prologue !== undefined) parts.push(prologue);
  parts.push(
    framePart(
      {
        name,
        about: [...about, `tiles of ${shape.rows} x ${shape.columns}, ${shape.depth} deep`],
        slots: kernel.slots,
        threads,
        resident: 2,
        sharedBytes: sharedBytes(shape),
        blocks: [
          ...flatTiles(
            kernel.rows.map((loop) => loop.extent),
            shape.rows,
          ),
          { extent: constant(firstTile), tile: 1 },
        ],
      },
      (code) => writeTiles(code, kernel, tiled, shape, direct),
    ),
  );
  const flatRows = productText(kernel.rows.map((loop) => loop.extent));
  tiled.forEach(({ group, sumsAt }, index) => {
    if (sumsAt === undefined) return;
    const rowOfSums = (weight: number, row: string) =>
      `${sumsAt} + (${weight} * (${flatRows}) + ${row}) * ${group.columns}`;
    parts.push(epiloguePart(kernel, group, rowOfSums, `${name}_rows${index}`, context));
  });
  const library =
    fp4Way(kernel, context) ?? (shape === mma ? libraryWay(kernel, rows, prologue, context) : undefined);
  return {
    parts,
    prelude: [
      ...rowsPrelude([kernel.prologue, ...kernel.groups.map((one) => one.epilogue)], kernel.slots),
      "gemm.cuh",
      ...(library?.prelude ?? []),
    ],
    scratchBytes,
    tickets: 0,
    ...(library === undefined ? {} : { library }),
  };
}

function usesTensorCores(kernel: MatmulKernel): boolean {
  const weights = kernel.groups.flatMap((group) => group.weights);
  return (
    kernel.inputDtype === "bf16" &&
    kernel.contracted % 8 === 0 &&
    weights.every((slot) => isExactInBf16(kernel.slots[slot]!.dtype))
  );
}

function sharedBytes(shape: Shape): number {
  const stages = shape.stages * (shape.rows + shape.columns) * shape.pitch * (shape === mma ? 2 : 4);
  return Math.max(stages, 4 * shape.rows * shape.outPitch);
}

/** Columns of each weight in a tile, so that rows of the epilogue are whole; undefined where they cannot be. */
function tileColumns({ epilogue, weights }: MatmulGroup, shape: Shape): number | undefined {
  const room = Math.floor(shape.columns / weights.length / 8) * 8;
  const row = epilogue.row.extent.constant;
  if (isColumnwise(epilogue)) return epilogue.loops.length > 0 || row >= room ? room : row;
  return row <= room ? Math.floor(room / row) * row : undefined;
}

function writeTiles(
  code: Code,
  kernel: MatmulKernel,
  tiled: readonly GroupTiles[],
  shape: Shape,
  direct: boolean,
): void {
  const { contracted, inputDtype } = kernel;
  const type = storageType[inputDtype];
  const source = direct ? directSource(kernel) : { view: "x", at: `row * ${contracted}` };
  code.line(`const Shared<float> out = shared_at<float>(0, ${shape.rows * shape.outPitch});`);
  code.block("", () => {
    writePlace(code, kernel, tiled, shape);
    if (!direct) code.line(`const Global<${type}> x = global<${type}>(args.scratch);`);
    writeProducts(code, kernel, tiled, shape, source);
  });
  code.block("", () => {
    // Found again: whatever lived on through the products would take registers from them.
    for (const symbol of symbolsOf(kernel)) {
      code.line(`[[maybe_unused]] const i64 ${symbolName(symbol)} = symbol(args, ${symbol});`);
    }
    writePlace(code, kernel, tiled, shape);
    writeByTile(code, tiled, (tiles) => writeEpilogue(code, kernel, tiles, shape));
  });
}

/** Which tile the block computes. */
function writePlace(code: Code, kernel: MatmulKernel, tiled: readonly GroupTiles[], shape: Shape): void {
  code.line(`const i64 rows = ${productText(kernel.rows.map((loop) => loop.extent))};`);
  code.line(`const i64 tiles_of_rows = (rows + ${shape.rows - 1}) / ${shape.rows};`);
  // Blocks side by side read the same weights.
  code.line(`const i64 first_row = (block % tiles_of_rows) * ${shape.rows};`);
  code.line("[[maybe_unused]] const i64 tile = block / tiles_of_rows;");
  const first = chooseByTile(tiled, (one) => `(tile - ${one.firstTile}) * ${one.columns}`);
  code.line(`const i64 first_column = ${first};`);
}

/** The symbols that a kernel's text may name. */
function symbolsOf({ rows, groups }: MatmulKernel): number[] {
  const named = JSON.stringify([rows, groups]).matchAll(/"symbol":(\d+)/g);
  return [...new Set([...named].map((found) => Number(found[1])))].sort((a, b) => a - b);
}
