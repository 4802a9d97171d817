/**
 * A few rows against weights of NVFP4, all of which are read once. The work is cut into items of equal bytes, 32 columns
 * along one slice of the contracted axis, because columns alone are too few for a large GPU; items are shared out over the
 * blocks, an item for a warp. Every block computes the prologue's rows for itself. Sums of slices go to scratch, and the
 * block that finishes the last slice of some columns adds them, in order, and runs the epilogue.
 */
import type { MatmulGroup, MatmulKernel } from "../../plan/types.ts";
import { type Code, slotView, storageBytes, storageType } from "../code.ts";
import { constant, framePart, type KernelContext, type KernelText, rowsOf } from "../kernel.ts";
import { isColumnwise, pieceWidth, rowsPrelude } from "../rows/row-shape.ts";
import { loopIndices, RowText } from "../rows/row-text.ts";
import { byWarp, partsBytes } from "../rows/rows-kernel.ts";
import { blocksPerMultiprocessor, mostShared, usualBlocks, writeRows } from "./gemv.ts";

const threads = 256;
const warps = threads / 32;
/** As in nvfp4_gemv.cuh. */
const itemColumns = 32;
/** Elements along the contracted axis that a warp takes in one step. */
const step = 64;
/** What an item costs beside its elements: its sums, counted in elements along the contracted axis. */
const itemCost = 32;
const rowCost = 8;
const flagsAt = partsBytes;
const xAt = flagsAt + 4 * threads;

interface GroupPlace {
  readonly group: MatmulGroup;
  /** Items of all groups before this one's. */
  readonly base: number;
  readonly items: number;
  /** Where the group's sums begin in scratch, in f32 elements: [weight][slice][row][column]. */
  readonly scratch: number;
  readonly ticket: number;
  readonly columnwise: boolean;
  readonly rowLength: number;
}

export const isOfNvfp4 = ({ groups, slots }: MatmulKernel): boolean =>
  groups.every(({ weights }) => weights.every((slot) => slots[slot]!.dtype === "nvfp4"));

interface Shared {
  /** Elements from one row of x to the next. */
  readonly pitch: number;
  readonly bytes: number;
}

/** Undefined where the rows take more than every target has. */
export function nvfp4Shared({ contracted, inputDtype }: MatmulKernel, rows: number): Shared | undefined {
  // In bf16 neighbouring rows begin 16 bytes apart, so that lanes of two rows find theirs in different banks.
  const pitch = contracted + (inputDtype === "bf16" ? 8 : 0);
  const bytes = xAt + rows * pitch * storageBytes(inputDtype);
  return bytes <= mostShared ? { pitch, bytes } : undefined;
}

/** Tiles of 32 columns of all weights. */
const matricesOf = ({ groups }: MatmulKernel): number =>
  groups.reduce((sum, { columns, weights }) => sum + Math.ceil(columns / itemColumns) * weights.length, 0);

/**
 * Elements of a slice of the contracted axis: what keeps a large GPU's blocks, and the warps of each, about equally long at
 * work. It depends on the plan alone, so sums do not depend on the GPU.
 */
export function sliceLength(kernel: MatmulKernel, rows: number): number {
  const whole = Math.ceil(kernel.contracted / step) * step;
  let best = whole;
  let least = Number.POSITIVE_INFINITY;
  for (let length = whole; length >= Math.min(2 * step, whole); length -= step) {
    const items = matricesOf(kernel) * Math.ceil(kernel.contracted / length);
    const ofBlock = Math.ceil(items / usualBlocks);
    // Memory serves the blocks alike; a block waits for its busiest warp.
    const work = (ofBlock + Math.ceil(ofBlock / warps) * warps) * (length + itemCost + rowCost * rows);
    if (work < least) [least, best] = [work, length];
  }
  return best;
}

export function emitNvfp4Gemv(kernel: MatmulKernel, context: KernelContext): KernelText {
  const rows = rowsOf(kernel, context.symbolMax);
  const shared = nvfp4Shared(kernel, rows);
  if (shared === undefined)
    throw new Error(`${kernel.name}: ${rows} rows must fit the shared memory of a block`);
  const length = sliceLength(kernel, rows);
  const slices = Math.ceil(kernel.contracted / length);
  const places: GroupPlace[] = [];
  let [base, scratch, ticket] = [0, 0, 0];
  for (const group of kernel.groups) {
    const { columns, weights, epilogue } = group;
    const columnwise = isColumnwise(epilogue);
    const rowLength = epilogue.row.extent.constant;
    const items = Math.ceil(columns / itemColumns) * weights.length * slices;
    places.push({ group, base, items, scratch, ticket, columnwise, rowLength });
    base += items;
    scratch += weights.length * slices * rows * columns;
    ticket += Math.ceil(columns / (columnwise ? itemColumns : rowLength));
  }
  const cut = slices === 1 ? "" : `, ${slices} slices of ${length}`;
  const about = [...context.about, `${rows} row${rows === 1 ? "" : "s"}: the weights are streamed${cut}`];
  const gemv: Gemv = { kernel, rows, pitch: shared.pitch, length, slices };
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
      for (const place of places) prefetchItems(code, gemv, place);
      code.line("wait_for_inputs();");
      code.line(`const Shared<${type}> x = shared_at<${type}>(${xAt}, ${rows * shared.pitch});`);
      const width = pieceWidth(kernel.prologue);
      writeRows(code, kernel, rows, shared.pitch, (row, column, value) =>
        kernel.inputDtype === "bf16"
          ? `store_spread<${width}>(x, ${row}, static_cast<i32>(${column}), ${value});`
          : `store_piece<${type}, ${width}>(x, ${row} + static_cast<i32>(${column}), ${value});`,
      );
      code.line("sync_block();");
      code.line("const Global<float> sums = global<float>(args.scratch);");
      for (const place of places) writeItems(code, gemv, place);
      code.line("const Global<u32> tickets = global<u32>(args.tickets);");
      code.line(`const Shared<u32> flags = shared_at<u32>(${flagsAt}, ${threads});`);
      for (const place of places) finishUnits(code, gemv, place);
    },
  );
  return {
    parts: [part],
    prelude: [
      ...rowsPrelude([kernel.prologue, ...kernel.groups.map((one) => one.epilogue)], kernel.slots),
      "blocks.cuh",
      "gemv.cuh",
      "nvfp4_gemv.cuh",
    ],
    scratchBytes: 4 * scratch,
    tickets: ticket,
  };
}

interface Gemv {
  readonly kernel: MatmulKernel;
  readonly rows: number;
  readonly pitch: number;
  /** Of a slice. */
  readonly length: number;
  readonly slices: number;
}

/** `items`: those of a group that are this block's. */
const itemsText = ({ base, items }: GroupPlace): string => `items_in(share, ${base}, 1, ${items})`;

/** The matrix of a weight that is known at run time. */
function viewText({ weights }: MatmulGroup, weight: string): string {
  return weights
    .map((slot, index) =>
      index === weights.length - 1 ? slotView(slot) : `${weight} == ${index} ? ${slotView(slot)} : `,
    )
    .join("");
}

function prefetchItems(code: Code, { kernel, length, slices }: Gemv, place: GroupPlace): void {
  const { columns, weights } = place.group;
  code.line(
    `prefetch_items<${weights.length}, ${columns}, ${kernel.contracted}, ${length}, ${slices}>(${itemsText(place)}, [&]([[maybe_unused]] i32 weight) { return ${viewText(place.group, "weight")}; });`,
  );
}

function writeItems(code: Code, { kernel, rows, pitch, length, slices }: Gemv, place: GroupPlace): void {
  const { group, scratch } = place;
  const { columns, weights } = group;
  code.block("", () => {
    code.line(`const Range items = ${itemsText(place)};`);
    code.block(`for (i32 item = items.first + warp_index(); item < items.last; item += ${warps})`, () => {
      code.line(`const ItemPart part = item_part<${weights.length}, ${slices}>(item);`);
      const types = `${storageType[kernel.inputDtype]}, ${rows}, ${columns}, ${kernel.contracted}, ${length}`;
      code.line(
        `slice_sums<${types}>(sums, ${scratch} + static_cast<i64>(part.weight * ${slices} + part.slice) * ${rows * columns}, ${viewText(group, "part.weight")}, part.tile, part.slice, x, ${pitch});`,
      );
    });
  });
}

/** Columns whose epilogue runs together, by the block that did the last of their items. */
function finishUnits(code: Code, gemv: Gemv, place: GroupPlace): void {
  const { group, ticket, columnwise, rowLength } = place;
  const ofTile = group.weights.length * gemv.slices;
  const width = columnwise ? itemColumns : rowLength;
  // Units and tiles need not begin together: a unit takes the items of all tiles that it meets.
  const firstTile = (unit: string) => (columnwise ? unit : `${unit} * ${rowLength} / ${itemColumns}`);
  const lastTile = (unit: string) =>
    columnwise ? `${unit} + 1` : `((${unit} + 1) * ${rowLength} + ${itemColumns - 1}) / ${itemColumns}`;
  code.block("", () => {
    code.line(`const Range items = ${itemsText(place)};`);
    code.line(`const i32 tiles_first = items.first / ${ofTile};`);
    code.line(`const i32 tiles_last = (items.last + ${ofTile - 1}) / ${ofTile};`);
    const units = Math.ceil(group.columns / width);
    code.line(
      columnwise
        ? "const Range units = {tiles_first, items.first < items.last ? tiles_last : tiles_first};"
        : `const Range units = {tiles_first * ${itemColumns} / ${rowLength}, items.first < items.last ? clamped((tiles_last * ${itemColumns} + ${rowLength - 1}) / ${rowLength}, ${units}) : 0};`,
    );
    code.block(`for (i32 begin = units.first; begin < units.last; begin += ${threads})`, () => {
      code.line(`const i32 count = units.last - begin < ${threads} ? units.last - begin : ${threads};`);
      code.line(
        `arrive_at_units(tickets, ${ticket}, flags, begin, count, items, [](i32 unit) { return (${firstTile("unit")}) * ${ofTile}; }, [](i32 unit) { return clamped((${lastTile("unit")}) * ${ofTile}, ${place.items}); });`,
      );
      if (columnwise) writeColumns(code, gemv, place);
      else writeUnits(code, gemv, place);
      // The next units' flags come where these are.
      code.line("sync_block();");
    });
  });
}

const pitchOfSlices = ({ rows }: Gemv, { group }: GroupPlace): string => `${rows * group.columns}`;

const weightAt = ({ rows, slices }: Gemv, { group, scratch }: GroupPlace, weight: number): number =>
  scratch + weight * slices * rows * group.columns;

/** Epilogues of single columns: a thread for each. */
function writeColumns(code: Code, gemv: Gemv, place: GroupPlace): void {
  const { kernel, rows, slices } = gemv;
  const { group, rowLength } = place;
  const { epilogue, columns } = group;
  code.block(`for (i32 at = thread_index(); at < count * ${itemColumns * rows}; at += ${threads})`, () => {
    code.line(`const i32 unit = at / ${itemColumns * rows};`);
    code.line(`const i32 row = at / ${itemColumns} % ${rows};`);
    code.line(`const i32 item = (begin + unit) * ${itemColumns} + at % ${itemColumns};`);
    code.line(`if (load(flags, unit) == 0 || item >= ${columns}) continue;`);
    const loops = epilogue.loops.map((_, index) => `m${index}`);
    const split = kernel.rows.length;
    loopIndices(code, epilogue.loops.slice(0, split), "row", loops.slice(0, split));
    const columnLoops = epilogue.loops.slice(split);
    if (columnLoops.length > 0) {
      code.line(`const i64 column = item % ${rowLength};`);
      loopIndices(code, columnLoops, `(item / ${rowLength})`, loops.slice(split));
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
      accumulator: (weight) =>
        `Piece<1>{{all_slices<${slices}>(sums, ${weightAt(gemv, place, weight)} + row * ${columns}LL + item, ${pitchOfSlices(gemv, place)})}}`,
    });
    text.storesAt(columnLoops.length === 0 ? "item" : "column");
  });
}

/** Whole rows of the epilogue: their sums first, in the place of the first slice. */
function writeUnits(code: Code, gemv: Gemv, place: GroupPlace): void {
  const { kernel, rows, slices } = gemv;
  const { group, rowLength } = place;
  const { epilogue, columns, weights } = group;
  const split = kernel.rows.length;
  const loops = epilogue.loops.map((_, index) => `m${index}`);
  const width = pieceWidth(epilogue, 4);
  if (slices > 1) {
    code.block(`for (i32 at = thread_index(); at < count * ${rows * rowLength}; at += ${threads})`, () => {
      code.line(`const i32 unit = at / ${rows * rowLength};`);
      code.line("if (load(flags, unit) == 0) continue;");
      code.line(
        `const i64 place = at / ${rowLength} % ${rows} * ${columns}LL + (begin + unit) * ${rowLength} + at % ${rowLength};`,
      );
      weights.forEach((_, weight) => {
        const at = `${weightAt(gemv, place, weight)} + place`;
        code.line(`store(sums, ${at}, all_slices<${slices}>(sums, ${at}, ${pitchOfSlices(gemv, place)}));`);
      });
    });
    code.line("sync_block();");
  }
  code.block(`for (i32 at = warp_index(); at < count * ${rows}; at += ${warps})`, () => {
    code.line(`const i32 unit = begin + at / ${rows};`);
    code.line(rows === 1 ? "const i32 row = 0;" : `const i32 row = at % ${rows};`);
    code.line("if (load(flags, unit - begin) == 0) continue;");
    loopIndices(code, epilogue.loops.slice(0, split), "row", loops.slice(0, split));
    loopIndices(code, epilogue.loops.slice(split), "unit", loops.slice(split));
    const text = new RowText(code, epilogue, {
      slots: kernel.slots,
      width,
      loops,
      ...byWarp,
      accumulator: (weight, column, count) =>
        `load_piece_fresh<${count}>(sums, ${weightAt(gemv, place, weight)} + row * ${columns}LL + unit * ${rowLength} + ${column})`,
    });
    text.scalars();
    text.stores();
  });
}
