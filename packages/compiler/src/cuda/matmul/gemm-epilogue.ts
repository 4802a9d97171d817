/** What happens to a finished tile: its rows or columns go through the epilogue, or their sums to scratch. */
import type { MatmulGroup, MatmulKernel } from "../../plan/types.ts";
import type { Code } from "../code.ts";
import { isColumnwise, pieceWidth } from "../rows/row-shape.ts";
import { loopIndices, type RowContext, RowText } from "../rows/row-text.ts";
import { byWarp } from "../rows/rows-kernel.ts";
import { type GroupTiles, type Shape, threads } from "./gemm-tiles.ts";

/** The tile's rows through the epilogue, or into scratch where a row is wider than a tile. */
export function writeEpilogue(code: Code, kernel: MatmulKernel, tiles: GroupTiles, shape: Shape): void {
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
    const width = pieceWidth(group.epilogue, 4);
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
