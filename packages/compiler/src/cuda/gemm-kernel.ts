/**
 * Many rows against weights: tiles of the result, on tensor cores where the inputs are bf16. A prologue that computes
 * anything runs first, once, into scratch; an epilogue takes its rows from the tile in shared memory. Rows that do not fit
 * a tile go through scratch as well, and an extra launch finishes them.
 */
import type { MatmulGroup, MatmulKernel, RowProgram } from "../plan/types.ts";
import { affineText, type Code, constantOf, storageBytes, storageType } from "./code.ts";
import {
  constant,
  framePart,
  type KernelContext,
  type KernelPart,
  type KernelText,
  productText,
  rowsOf,
} from "./kernel.ts";
import { isColumnwise, loopIndices, pieceWidth, type RowContext, RowText, slotView } from "./row-text.ts";
import { byWarp, rowsPart } from "./rows-kernel.ts";
import type { CudaExtent } from "./types.ts";

/** Tiles as gemm.cuh has them. */
const mma = { name: "MmaShape", rows: 128, columns: 128, pitch: 40, depth: 32, stages: 4, outPitch: 132 };
const plain = { name: "PlainShape", rows: 64, columns: 64, pitch: 17, depth: 16, stages: 1, outPitch: 65 };
type Shape = typeof mma;
const threads = 256;
const scratchAlignment = 256;

interface GroupTiles {
  readonly group: MatmulGroup;
  /** Columns of each weight in a tile. */
  readonly columns: number;
  /** Tiles of all groups before this one's. */
  readonly firstTile: number;
  readonly tiles: number;
  /** Where the sums go when no tile holds a whole row: f32 elements from the beginning of scratch. */
  readonly sumsAt: number | undefined;
}

const aligned = (bytes: number) => Math.ceil(bytes / scratchAlignment) * scratchAlignment;

export function emitGemm(kernel: MatmulKernel, context: KernelContext): KernelText {
  const { symbolMax, name, about } = context;
  const rows = rowsOf(kernel, symbolMax);
  const shape = usesTensorCores(kernel) ? mma : plain;
  const direct = directRead(kernel.prologue);
  let scratchBytes = direct ? 0 : aligned(rows * kernel.contracted * storageBytes(kernel.inputDtype));
  let firstTile = 0;
  const tiled = kernel.groups.map((group): GroupTiles => {
    const columns = tileColumns(group, shape);
    const tiles = Math.ceil(group.columns / (columns ?? Math.floor(shape.columns / group.weights.length)));
    let sumsAt: number | undefined;
    if (columns === undefined) {
      sumsAt = scratchBytes / 4;
      scratchBytes += aligned(4 * rows * group.columns * group.weights.length);
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
  if (!direct) parts.push(prologuePart(kernel, `${name}_x`, context));
  parts.push(
    framePart(
      {
        name,
        about: [...about, `tiles of ${shape.rows} x ${shape.columns}, ${shape.depth} deep`],
        slots: kernel.slots,
        threads,
        resident: 2,
        sharedBytes: sharedBytes(shape),
        blocks: [...rowTiles(kernel, shape.rows), { extent: constant(firstTile), tile: 1 }],
      },
      (code) => writeTiles(code, kernel, tiled, shape, direct),
    ),
  );
  tiled.forEach((tiles, index) => {
    if (tiles.sumsAt === undefined) return;
    parts.push(epiloguePart(kernel, tiles, `${name}_rows${index}`, context));
  });
  return {
    parts,
    prelude: ["device.cuh", "numbers.cuh", "rows.cuh", "gemm.cuh"],
    scratchBytes,
    tickets: 0,
  };
}

function usesTensorCores(kernel: MatmulKernel): boolean {
  const weights = kernel.groups.flatMap((group) => group.weights);
  return (
    kernel.inputDtype === "bf16" &&
    kernel.contracted % 8 === 0 &&
    weights.every((slot) => kernel.slots[slot]!.dtype === "bf16")
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

/** The flattened rows, cut into tiles: blocks are counted along the one symbolic loop, as in a row program. */
function rowTiles(kernel: MatmulKernel, tile: number): CudaExtent[] {
  const extents = kernel.rows.map((loop) => loop.extent);
  const factor = extents.reduce((product, one) => product * (constantOf(one) ?? 1), 1);
  const [first, ...others] = extents.filter((one) => constantOf(one) === undefined);
  if (first === undefined) return [{ extent: constant(factor), tile }];
  const scaled = {
    constant: first.constant * factor,
    terms: first.terms.map((term) => ({ symbol: term.symbol, factor: term.factor * factor })),
  };
  return [{ extent: scaled, tile }, ...others.map((extent) => ({ extent, tile: 1 }))];
}

/** Whether the prologue only reads rows that lie in memory as the products want them: 16 bytes at a time. */
function directRead({ body, loops }: RowProgram): boolean {
  const [only] = body;
  if (body.length !== 1 || only?.kind !== "load" || loops.length > 1) return false;
  const { access } = only;
  const steps = [
    ...access.strides,
    access.offset.constant,
    ...access.offset.terms.map((term) => term.factor),
  ];
  return access.rowStride === 1 && steps.every((step) => step % 8 === 0);
}

function prologuePart(kernel: MatmulKernel, name: string, context: KernelContext): KernelPart {
  const { prologue, inputDtype, contracted } = kernel;
  const type = storageType[inputDtype];
  const width = pieceWidth(prologue);
  return rowsPart({
    name,
    about: [...context.about, "the rows that the products read"],
    slots: kernel.slots,
    program: prologue,
    symbolMax: context.symbolMax,
    finish: (row, code, flat) => {
      code.line(`const Global<${type}> x = global<${type}>(args.scratch);`);
      row.pass(String(contracted), (column) => {
        const value = row.spreadPiece(prologue.body.length - 1, column);
        code.line(`store_piece<${type}, ${width}>(x, ${flat} * ${contracted} + ${column}, ${value});`);
      });
    },
  });
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
  const rows = productText(kernel.rows.map((loop) => loop.extent));
  code.line(`const i64 rows = ${rows};`);
  code.line(`const i64 tiles_of_rows = (rows + ${shape.rows - 1}) / ${shape.rows};`);
  // Blocks side by side read the same weights.
  code.line(`const i64 first_row = (block % tiles_of_rows) * ${shape.rows};`);
  code.line("const i64 tile = block / tiles_of_rows;");
  code.line(`const Shared<float> out = shared_at<float>(0, ${shape.rows * shape.outPitch});`);
  if (!direct) code.line(`const Global<${type}> x = global<${type}>(args.scratch);`);
  const source = direct ? directSource(kernel) : { view: "x", at: `row * ${contracted}` };
  const choose = (value: (tiles: GroupTiles) => string) => chooseByTile(tiled, value);
  code.line(`const i64 first_column = ${choose((one) => `(tile - ${one.firstTile}) * ${one.columns}`)};`);
  writeProducts(code, kernel, tiled, shape, source);
  writeByTile(code, tiled, (tiles) => writeEpilogue(code, kernel, tiles, shape));
}

/** A value that depends on the group that the block's tile belongs to. */
function chooseByTile(tiled: readonly GroupTiles[], value: (tiles: GroupTiles) => string): string {
  const values = tiled.map(value);
  if (new Set(values).size === 1) return values[0]!;
  return values
    .map((one, index) => {
      const { firstTile, tiles } = tiled[index]!;
      return index === values.length - 1 ? one : `tile < ${firstTile + tiles} ? ${one} : `;
    })
    .join("");
}

function writeByTile(code: Code, tiled: readonly GroupTiles[], write: (tiles: GroupTiles) => void): void {
  for (const [index, tiles] of tiled.entries()) {
    const last = index === tiled.length - 1;
    const condition = last ? "" : `if (tile < ${tiles.firstTile + tiles.tiles})`;
    code.block(index === 0 ? condition : `else ${condition}`.trim(), () => write(tiles));
  }
}

interface XSource {
  readonly view: string;
  /** The index of the first element of row `row`. */
  readonly at: string;
}

function directSource({ prologue }: MatmulKernel): XSource {
  const [only] = prologue.body;
  if (only?.kind !== "load") throw new Error("a direct prologue is one load");
  const { slot, offset, strides } = only.access;
  const stride = strides[0] ?? 0;
  return { view: slotView(slot), at: `${stride}LL * row + ${affineText(offset)}` };
}

/** The products are one piece of text, whichever group the tile belongs to: unrolled, it is the largest part. */
function writeProducts(
  code: Code,
  kernel: MatmulKernel,
  tiled: readonly GroupTiles[],
  shape: Shape,
  source: XSource,
): void {
  const { contracted } = kernel;
  const choose = (value: (tiles: GroupTiles) => number) => chooseByTile(tiled, (one) => String(value(one)));
  code.line(`const i32 columns = ${choose((one) => one.columns)};`);
  code.line(`const i32 used = ${choose((one) => one.columns * one.group.weights.length)};`);
  code.line(`const i64 all_columns = ${choose((one) => one.group.columns)};`);
  const isInside = "first_column + column % columns < all_columns && column < used";
  const place = `(first_column + column % columns) * ${contracted} + k`;
  const most = Math.max(...tiled.map(({ group }) => group.weights.length));
  const stages = (type: string) =>
    code.line(
      `const Shared<${type}> stages = shared_at<${type}>(0, ${shape.stages * (shape.rows + shape.columns) * shape.pitch});`,
    );
  if (shape === mma) {
    stages("bf16");
    for (let weight = 0; weight < most; weight++) {
      const view = chooseByTile(tiled, ({ group }) => slotView(group.weights[weight] ?? group.weights[0]!));
      code.line(`const Global<bf16> w${weight} = ${view};`);
    }
    lambda(code, "copy_x", "Shared<bf16> to, i32 index, i32 local, i32 k", () => {
      code.line(`const i64 row = first_row + local;`);
      code.line(
        `copy16_async(to, index, ${source.view}, row < rows ? ${source.at} + k : 0, row < rows && k < ${contracted});`,
      );
    });
    lambda(code, "copy_w", "Shared<bf16> to, i32 index, i32 column, i32 k", () => {
      code.line(`const bool valid = ${isInside} && k < ${contracted};`);
      writeByWeight(code, most, (weight) => {
        code.line(`copy16_async(to, index, w${weight}, valid ? ${place} : 0, valid);`);
      });
    });
    code.line(`mma_tile<${shape.name}>(stages, out, ${contracted}, copy_x, copy_w);`);
    return;
  }
  stages("float");
  lambda(code, "value_x", "i32 local, i32 k", () => {
    code.line("const i64 row = first_row + local;");
    code.line(
      `return row < rows && k < ${contracted} ? widen(load(${source.view}, ${source.at} + k)) : 0.0f;`,
    );
  });
  lambda(code, "value_w", "i32 column, i32 k", () => {
    code.line(`if (!(${isInside} && k < ${contracted})) return 0.0f;`);
    writeByTile(code, tiled, ({ group }) => {
      writeByWeight(code, group.weights.length, (weight) => {
        code.line(`return widen(load(${slotView(group.weights[weight]!)}, ${place}));`);
      });
    });
  });
  code.line(`plain_tile<${shape.name}>(stages, out, ${contracted}, value_x, value_w);`);
}

/** The weight that a tile's column belongs to. */
function writeByWeight(code: Code, weights: number, write: (weight: number) => void): void {
  if (weights === 1) {
    write(0);
    return;
  }
  for (let weight = 0; weight < weights; weight++) {
    const last = weight === weights - 1;
    const condition = last ? "" : `if (column < columns * ${weight + 1})`;
    code.block(weight === 0 ? condition : `else ${condition}`.trim(), () => write(weight));
  }
}

function lambda(code: Code, name: string, parameters: string, body: () => void): void {
  code.block(`const auto ${name} = [&](${parameters})`, body);
  code.line(";");
}

/** The tile's rows through the epilogue, or into scratch where a row is wider than a tile. */
function writeEpilogue(code: Code, kernel: MatmulKernel, tiles: GroupTiles, shape: Shape): void {
  const { group, sumsAt } = tiles;
  if (sumsAt !== undefined) writeSums(code, tiles, shape, sumsAt);
  else if (isColumnwise(group.epilogue)) writeColumns(code, kernel, tiles, shape);
  else writeWholeRows(code, kernel, tiles, shape);
}

function writeWholeRows(code: Code, kernel: MatmulKernel, tiles: GroupTiles, shape: Shape): void {
  const { group, columns } = tiles;
  const row = group.epilogue.row.extent.constant;
  const units = columns / row;
  code.block(`for (i32 item = warp_index(); item < ${shape.rows * units}; item += ${threads / 32})`, () => {
    code.line(`const i64 row = first_row + item / ${units};`);
    code.line(`const i64 unit = first_column / ${row} + item % ${units};`);
    code.line(`if (row >= rows || unit >= ${group.columns / row}) continue;`);
    const width = Math.min(4, pieceWidth(group.epilogue));
    const text = epilogueText(code, kernel, group, "unit", {
      ...byWarp,
      width,
      accumulator: (weight, column, count) =>
        `load_row_piece<${count}>(out, (item / ${units}) * ${shape.outPitch} + ${weight * columns} + (item % ${units}) * ${row} + static_cast<i32>(${column}))`,
    });
    text.scalars();
    text.stores();
  });
}

function epilogueText(
  code: Code,
  kernel: MatmulKernel,
  group: MatmulGroup,
  unit: string,
  context: Omit<RowContext, "slots" | "loops">,
): RowText {
  const { epilogue } = group;
  const split = kernel.rows.length;
  const loops = epilogue.loops.map((_, index) => `m${index}`);
  loopIndices(code, epilogue.loops.slice(0, split), "row", loops.slice(0, split));
  loopIndices(code, epilogue.loops.slice(split), unit, loops.slice(split));
  return new RowText(code, epilogue, { slots: kernel.slots, loops, ...context });
}

function writeColumns(code: Code, kernel: MatmulKernel, tiles: GroupTiles, shape: Shape): void {
  const { group, columns } = tiles;
  const { epilogue } = group;
  const rowLength = epilogue.row.extent.constant;
  let width = Math.min(8, pieceWidth(epilogue));
  while (columns % width !== 0 || rowLength % width !== 0 || group.columns % width !== 0) width >>= 1;
  const pieces = columns / width;
  code.block(`for (i32 item = thread_index(); item < ${shape.rows * pieces}; item += ${threads})`, () => {
    code.line(`const i64 row = first_row + item / ${pieces};`);
    code.line(`const i32 local = (item % ${pieces}) * ${width};`);
    code.line("const i64 at_column = first_column + local;");
    code.line(`if (row >= rows || at_column >= ${group.columns}) continue;`);
    const cut = epilogue.loops.length > kernel.rows.length;
    if (cut) code.line(`const i64 column = at_column % ${rowLength};`);
    const text = epilogueText(code, kernel, group, `(at_column / ${rowLength})`, {
      width,
      thread: "0",
      threads: "1",
      reduce: () => {
        throw new Error("an epilogue by columns must not reduce");
      },
      accumulator: (weight, _column, count) =>
        `load_row_piece<${count}>(out, (item / ${pieces}) * ${shape.outPitch} + ${weight * columns} + local)`,
    });
    text.storesAt(cut ? "column" : "at_column");
  });
}

function writeSums(code: Code, { group, columns }: GroupTiles, shape: Shape, sumsAt: number): void {
  code.line("const Global<float> sums = global<float>(args.scratch);");
  const all = columns * group.weights.length;
  code.block(`for (i32 item = thread_index(); item < ${shape.rows * all}; item += ${threads})`, () => {
    code.line(`const i64 row = first_row + item / ${all};`);
    code.line(`const i32 local = item % ${all};`);
    code.line(`const i64 column = first_column + local % ${columns};`);
    code.line(`if (row >= rows || column >= ${group.columns}) continue;`);
    code.line(
      `store(sums, ${sumsAt} + ((local / ${columns}) * rows + row) * ${group.columns} + column, load(out, (item / ${all}) * ${shape.outPitch} + local));`,
    );
  });
}

/** A row program over the finished sums in scratch. */
function epiloguePart(
  kernel: MatmulKernel,
  { group, sumsAt }: GroupTiles,
  name: string,
  context: KernelContext,
): KernelPart {
  const { epilogue } = group;
  const rows = productText(kernel.rows.map((loop) => loop.extent));
  const rowLength = epilogue.row.extent.constant;
  const inColumns = group.columns / rowLength;
  const row = inColumns === 1 ? "i_flat" : `(i_flat / ${inColumns})`;
  return rowsPart({
    name,
    about: [...context.about, "rows of finished sums"],
    slots: kernel.slots,
    program: epilogue,
    symbolMax: context.symbolMax,
    flatName: "i_flat",
    accumulator: (weight, column, count) =>
      `load_piece<float, ${count}>(global<float>(args.scratch), ${sumsAt} + (${weight} * (${rows}) + ${row}) * ${group.columns} + (i_flat % ${inColumns}) * ${rowLength} + ${column})`,
  });
}
