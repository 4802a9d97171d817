/** Row programs: a warp for each short row, a block for each long one. */
import type { RowProgram, RowsKernel, Slot } from "../../plan/types.ts";
import type { Code } from "../code.ts";
import {
  flatTiles,
  framePart,
  type KernelContext,
  type KernelPart,
  type KernelText,
  largest,
  productText,
} from "../kernel.ts";
import { pieceWidth, registerLengths, rowsPrelude } from "./row-shape.ts";
import { loopIndices, type RowContext, RowText } from "./row-text.ts";

/** Bytes that `reduce_block` needs: one word for each of up to 32 warps. */
export const partsBytes = 128;

export const byWarp: Pick<RowContext, "thread" | "threads" | "reduce" | "sync"> = {
  thread: "lane_index()",
  threads: "32",
  sync: "sync_warp()",
  reduce: (reducer, partial) => `reduce_warp<${reducer}>(${partial})`,
};

export const byBlock: Pick<RowContext, "thread" | "threads" | "reduce" | "sync"> = {
  thread: "thread_index()",
  threads: "thread_count()",
  sync: "sync_block()",
  reduce: (reducer, partial) => `reduce_block<${reducer}>(${partial}, shared_at<float>(0, 32))`,
};

const warpsOfBlock = 4;
/** Rows of more pieces than this are worth a whole block. */
const piecesOfWarp = 64;

export interface RowsPart {
  readonly name: string;
  readonly about: readonly string[];
  readonly slots: readonly Slot[];
  readonly program: RowProgram;
  readonly symbolMax: readonly number[];
  readonly accumulator?: RowContext["accumulator"];
  /** A variable that holds the row's number, for `accumulator`. */
  readonly flatName?: string;
  /** Columns of a piece, where the rows are known to allow it; default: `pieceWidth` of the program. */
  readonly width?: number;
  /** What happens to a row when its scalars are known; default: its stores. `flat` is the row's number. */
  readonly finish?: (row: RowText, code: Code, flat: string) => void;
}

/** A launch that runs a row program over all its rows. */
export function rowsPart({ name, about, slots, program, symbolMax, ...rest }: RowsPart): KernelPart {
  const width = rest.width ?? pieceWidth(program);
  const longest = Math.max(
    1,
    ...[...registerLengths(program), program.row.extent].map((length) => largest(length, symbolMax)),
  );
  const pieces = Math.ceil(longest / width);
  const wide = pieces > piecesOfWarp;
  const threads = wide ? Math.min(512, Math.max(128, 32 * Math.ceil(pieces / 128))) : 32 * warpsOfBlock;
  const loops = program.loops.map((_, index) => `i${index}`);
  const extents = program.loops.map((loop) => loop.extent);
  const rows = productText(extents);
  const tile = wide ? 1 : warpsOfBlock;
  const frame = {
    name,
    about,
    slots,
    threads,
    sharedBytes: wide ? partsBytes : 0,
    // A block takes `tile` rows of the flattened loops.
    blocks: flatTiles(extents, tile),
  };
  return framePart(frame, (code) => {
    const write = (flat: string) => {
      if (rest.flatName !== undefined) code.line(`const i64 ${rest.flatName} = ${flat};`);
      loopIndices(code, program.loops, flat, loops);
      const row = new RowText(code, program, {
        slots,
        width,
        loops,
        ...(wide ? byBlock : byWarp),
        ...(rest.accumulator === undefined ? {} : { accumulator: rest.accumulator }),
      });
      row.scalars();
      if (rest.finish === undefined) row.stores();
      else rest.finish(row, code, flat);
    };
    if (wide) write("block");
    else {
      code.line(`const i64 row = block * ${warpsOfBlock} + warp_index();`);
      code.block(`if (row < ${rows})`, () => write("row"));
    }
  });
}

export function emitRows(kernel: RowsKernel, context: KernelContext): KernelText {
  const { slots, program } = kernel;
  const { name, about, symbolMax } = context;
  return {
    parts: [rowsPart({ name, about, slots, program, symbolMax })],
    prelude: rowsPrelude([program], slots),
    scratchBytes: 0,
    tickets: 0,
  };
}
