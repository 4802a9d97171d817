/**
 * A few rows against weights that are read once. Every block computes the prologue's rows for itself, in shared memory;
 * the columns of all weights are shared out evenly over the blocks. An epilogue that looks at single columns runs at
 * once; one that needs a whole row (head norms, RoPE) runs in the block that finishes the row's last column.
 */
import type { MatmulGroup, MatmulKernel, PlanDtype } from "../../plan/types.ts";
import { type Code, slotView, storageBytes, storageType } from "../code.ts";
import { constant, framePart, type KernelContext, type KernelText, rowsOf } from "../kernel.ts";
import { isColumnwise, pieceWidth, rowsPrelude } from "../rows/row-shape.ts";
import { loopIndices, RowText } from "../rows/row-text.ts";
import { byBlock, byWarp, partsBytes } from "../rows/rows-kernel.ts";

const threads = 256;
export const blocksPerMultiprocessor = 2;
/** Blocks of a large GPU: what the slices of columns are chosen for. */
export const usualBlocks = 2 * 132;
/** Columns whose sums lie in shared memory at once. */
const chunk = 256;
/** Pieces of work that make the warps of a block come out about even. */
const itemsWanted = 4 * (threads / 32);
/** A slice of fewer elements would spend its time on the reduction. */
const leastSlice = 1024;
/** What a block may have on every target: Ada and consumer Blackwell have the least. */
export const mostShared = 99 * 1024;
const flagAt = partsBytes;
const sumsAt = partsBytes + 16;

interface GroupPlace {
  readonly group: MatmulGroup;
  readonly index: number;
  /** Columns of all weights before this group's. */
  readonly base: number;
  /** Where the group's unfinished sums begin in scratch, in f32 elements. */
  readonly scratch: number;
  readonly ticket: number;
  readonly columnwise: boolean;
  readonly rowLength: number;
}

/** How a block's shared memory is laid out. */
interface GemvShared {
  /** Elements from one row of x to the next. */
  readonly pitch: number;
  readonly slices: number;
  readonly sumWords: number;
  readonly xAt: number;
  readonly bytes: number;
}

/** The layout with the most slices that every target has room for; undefined where the rows alone take too much. */
export function gemvShared(kernel: MatmulKernel, rows: number): GemvShared | undefined {
  const inputBytes = storageBytes(kernel.inputDtype);
  // A multiple of 16 bytes, so that every row of x may be read in pieces.
  const pitch = Math.ceil((kernel.contracted * inputBytes) / 16) * (16 / inputBytes);
  const weights = Math.max(...kernel.groups.map((group) => group.weights.length));
  const columns = kernel.groups.reduce((sum, group) => sum + group.columns * group.weights.length, 0);
  for (let slices = slicesOf(kernel, columns); slices >= 1; slices /= 2) {
    const sumWords = weights * rows * slices * chunk;
    const xAt = sumsAt + 4 * sumWords;
    const bytes = xAt + rows * pitch * inputBytes;
    if (bytes <= mostShared) return { pitch, slices, sumWords, xAt, bytes };
  }
  return undefined;
}

export function emitGemv(kernel: MatmulKernel, context: KernelContext): KernelText {
  const rows = rowsOf(kernel, context.symbolMax);
  const places: GroupPlace[] = [];
  let [base, scratch, ticket] = [0, 0, 0];
  kernel.groups.forEach((group, index) => {
    const columnwise = isColumnwise(group.epilogue);
    const rowLength = group.epilogue.row.extent.constant;
    places.push({ group, index, base, scratch, ticket, columnwise, rowLength });
    base += group.columns * group.weights.length;
    if (columnwise) return;
    scratch += rows * group.columns * group.weights.length;
    ticket += group.columns / rowLength;
  });
  const shared = gemvShared(kernel, rows);
  if (shared === undefined)
    throw new Error(`${kernel.name}: ${rows} rows must fit the shared memory of a block`);
  const { pitch, slices, sumWords, xAt } = shared;
  const about = [...context.about, `${rows} row${rows === 1 ? "" : "s"}: the weights are streamed`];
  const part = framePart(
    {
      name: context.name,
      about,
      slots: kernel.slots,
      threads,
      sharedBytes: shared.bytes,
      blocks: [{ extent: constant(base), tile: 1 }],
      perMultiprocessor: blocksPerMultiprocessor,
      resident: blocksPerMultiprocessor,
      startsEarly: true,
    },
    (code) => {
      const type = storageType[kernel.inputDtype];
      code.line(
        `const Range share = share_of(${base}, static_cast<i32>(block), static_cast<i32>(args.blocks));`,
      );
      for (const place of places) prefetchColumns(code, kernel, place);
      code.line("wait_for_inputs();");
      code.line(`const Shared<float> sums = shared_at<float>(${sumsAt}, ${sumWords});`);
      code.line(`const Shared<${type}> x = shared_at<${type}>(${xAt}, ${rows * pitch});`);
      const width = pieceWidth(kernel.prologue);
      writeRows(code, kernel, rows, pitch, (row, column, value) => {
        const at = rows === 1 ? column : `${row} + ${column}`;
        return `store_piece<${type}, ${width}>(x, static_cast<i32>(${at}), ${value});`;
      });
      code.line("sync_block();");
      if (scratch > 0) code.line("const Global<float> unfinished = global<float>(args.scratch);");
      for (const place of places) writeColumns(code, kernel, place, { rows, pitch, slices });
      const unfinished = places.filter((one) => !one.columnwise);
      if (unfinished.length === 0) return;
      code.line("const Global<u32> tickets = global<u32>(args.tickets);");
      code.line(`const Shared<u32> flag = shared_at<u32>(${flagAt}, 1);`);
      for (const place of unfinished) finishRows(code, kernel, place, rows);
    },
  );
  return {
    parts: [part],
    prelude: [
      ...rowsPrelude([kernel.prologue, ...kernel.groups.map((one) => one.epilogue)], kernel.slots),
      "blocks.cuh",
      "gemv.cuh",
    ],
    scratchBytes: 4 * scratch,
    tickets: ticket,
  };
}

/**
 * The prologue: rows of x, computed by the whole block.
 * @param storeText stores a piece at a column of a row, given by i32 and i64 expressions
 */
export function writeRows(
  code: Code,
  kernel: MatmulKernel,
  rows: number,
  pitch: number,
  storeText: (row: string, column: string, value: string) => string,
): void {
  const { prologue } = kernel;
  const loops = prologue.loops.map((_, index) => `m${index}`);
  const width = pieceWidth(prologue);
  const write = (row: string) => {
    loopIndices(code, prologue.loops, row, loops);
    const text = new RowText(code, prologue, { slots: kernel.slots, width, loops, ...byBlock });
    text.scalars();
    const last = prologue.body.length - 1;
    text.pass(String(kernel.contracted), (column) => {
      code.line(storeText(rows === 1 ? "0" : `${row} * ${pitch}`, column, text.spreadPiece(last, column)));
    });
  };
  if (rows === 1) code.block("", () => write("0LL"));
  else code.block(`for (i32 row = 0; row < ${rows}; ++row)`, () => write("row"));
}

/** Elements of a weight that a lane takes at once: 16 bytes, or a word of nvfp4. */
const wholePiece = (dtype: PlanDtype): number => (dtype === "nvfp4" ? 8 : 16 / storageBytes(dtype));

/** The largest piece of weights that divides the contracted length. */
function weightWidth(kernel: MatmulKernel, weight: number): number {
  const whole = wholePiece(kernel.slots[weight]!.dtype);
  return kernel.contracted % whole === 0 ? whole : 1;
}

/** How often each column is cut: into lengths that the lanes of a warp can share evenly. */
function slicesOf({ contracted, groups, slots }: MatmulKernel, columns: number): number {
  const pieces = groups.flatMap(({ weights }) => weights.map((slot) => wholePiece(slots[slot]!.dtype)));
  const step = 32 * Math.max(...pieces);
  let slices = 1;
  while (
    (columns / usualBlocks) * slices < itemsWanted &&
    contracted % (2 * slices * step) === 0 &&
    contracted / (2 * slices) >= leastSlice
  ) {
    slices *= 2;
  }
  return slices;
}

/** `items`: the columns of a group that are this block's. */
function itemsText({ group, base }: GroupPlace): string {
  return `items_in(share, ${base}, ${group.weights.length}, ${group.columns})`;
}

/** Asks for the first weights while the kernel in front still runs. */
function prefetchColumns(code: Code, kernel: MatmulKernel, place: GroupPlace): void {
  code.block("", () => {
    code.line(`const Range items = ${itemsText(place)};`);
    for (const slot of place.group.weights) {
      if (kernel.slots[slot]!.dtype === "nvfp4") continue;
      code.line(
        `prefetch_columns(${slotView(slot)}, items.first, items.last - items.first, ${kernel.contracted});`,
      );
    }
  });
}

interface Sums {
  readonly rows: number;
  readonly pitch: number;
  readonly slices: number;
}

function writeColumns(code: Code, kernel: MatmulKernel, place: GroupPlace, sums: Sums): void {
  const { group, columnwise, scratch } = place;
  const { rows, pitch, slices } = sums;
  const { columns, weights } = group;
  const sumAt = (weight: number) => weight * rows * slices * chunk;
  code.block("", () => {
    code.line(`const Range items = ${itemsText(place)};`);
    code.block(`for (i32 begin = items.first; begin < items.last; begin += ${chunk})`, () => {
      code.line(`const i32 count = items.last - begin < ${chunk} ? items.last - begin : ${chunk};`);
      weights.forEach((slot, weight) => {
        const { dtype, rowLength } = kernel.slots[slot]!;
        const [matrix, view] =
          dtype === "nvfp4"
            ? [`BlockRows<${rowLength}>`, `BlockRows<${rowLength}>{${slotView(slot)}}`]
            : [`Global<${storageType[dtype]}>`, slotView(slot)];
        const types = `${matrix}, ${storageType[kernel.inputDtype]}`;
        const width = weightWidth(kernel, slot);
        code.line(
          `column_sums<${types}, ${rows}, ${width}, ${slices}, ${chunk}>(sums, ${sumAt(weight)}, ${view}, begin, count, x, ${pitch}, ${kernel.contracted});`,
        );
      });
      code.line("sync_block();");
      code.block(`for (i32 at = thread_index(); at < count * ${rows}; at += thread_count())`, () => {
        code.line(rows === 1 ? "const i32 row = 0;" : "const i32 row = at / count;");
        code.line(`const i32 local = ${rows === 1 ? "at" : "at % count"};`);
        code.line("const i32 item = begin + local;");
        const sum = (weight: number) => `whole_sum<${slices}, ${chunk}>(sums, ${sumAt(weight)}, row, local)`;
        if (columnwise) writeColumn(code, kernel, place, sum);
        else {
          weights.forEach((_, weight) => {
            const at = scratch + weight * rows * columns;
            code.line(`store(unfinished, ${at} + row * ${columns}LL + item, ${sum(weight)});`);
          });
        }
      });
      // The next columns come where these were.
      code.line("sync_block();");
    });
  });
}

/** The epilogue of one column of one row, by one thread. */
function writeColumn(
  code: Code,
  kernel: MatmulKernel,
  place: GroupPlace,
  sum: (weight: number) => string,
): void {
  const { epilogue } = place.group;
  const loops = epilogue.loops.map((_, index) => `m${index}`);
  const split = kernel.rows.length;
  loopIndices(code, epilogue.loops.slice(0, split), "row", loops.slice(0, split));
  const columnLoops = epilogue.loops.slice(split);
  const column = columnLoops.length === 0 ? "item" : "column";
  if (columnLoops.length > 0) {
    code.line(`const i64 column = item % ${place.rowLength};`);
    loopIndices(code, columnLoops, `(item / ${place.rowLength})`, loops.slice(split));
  }
  const text = new RowText(code, epilogue, {
    slots: kernel.slots,
    width: 1,
    loops,
    thread: "0",
    threads: "1",
    reduce: () => {
      throw new Error("an epilogue by columns must not reduce");
    },
    accumulator: (weight) => `Piece<1>{{${sum(weight)}}}`,
  });
  text.storesAt(column);
}

/** Whole rows of the epilogue, by the block that finishes them. */
function finishRows(code: Code, kernel: MatmulKernel, place: GroupPlace, rows: number): void {
  const { group, scratch, ticket, rowLength } = place;
  const { epilogue, columns } = group;
  const split = kernel.rows.length;
  const loops = epilogue.loops.map((_, index) => `m${index}`);
  const width = pieceWidth(epilogue, 4);
  code.block("", () => {
    code.line(`const Range items = ${itemsText(place)};`);
    code.block(
      `for (i32 unit = items.first / ${rowLength}; unit * ${rowLength} < items.last; ++unit)`,
      () => {
        code.line(
          `const Range own = {items.first > unit * ${rowLength} ? items.first : unit * ${rowLength}, clamped(items.last, (unit + 1) * ${rowLength})};`,
        );
        code.line("if (own.first >= own.last) continue;");
        code.line(
          `if (!arrive_last(tickets, ${ticket} + unit, static_cast<u32>(own.last - own.first), ${rowLength}, flag)) continue;`,
        );
        code.block(`for (i32 row = warp_index(); row < ${rows}; row += thread_count() / 32)`, () => {
          loopIndices(code, epilogue.loops.slice(0, split), "row", loops.slice(0, split));
          loopIndices(code, epilogue.loops.slice(split), "unit", loops.slice(split));
          const text = new RowText(code, epilogue, {
            slots: kernel.slots,
            width,
            loops,
            ...byWarp,
            accumulator: (weight, column, count) =>
              `load_piece_fresh<${count}>(unfinished, ${scratch + weight * rows * columns} + row * ${columns}LL + unit * ${rowLength} + ${column})`,
          });
          text.scalars();
          text.stores();
        });
      },
    );
  });
}
