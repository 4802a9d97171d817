/**
 * Operands of products in FP4 units, in scratch: rows of codes and swizzled scales (fp4_operands.cuh). What a prologue
 * quantises is written so at once; what lies in memory as code times scale gets its codes back; weights are repacked from
 * their tiles.
 *
 * Weights are repacked in front of each product, not once at load. A second copy of all weights would take their 4.5 bits
 * again (2.0 GB of Qwen3-4B), because products of few rows stream the tiles; scratch of the largest kernel takes 28 MB
 * there. What it costs is 9 bits more to move for each weight and prefill step, where dequantising to bf16 costs 32.
 */
import type { Affine, MatmulKernel } from "../../plan/types.ts";
import { type Code, slotView } from "../code.ts";
import { constant, framePart, type KernelContext, type KernelPart, productText } from "../kernel.ts";
import { quantizerOf } from "../quantised-slots.ts";
import { pieceWidth } from "../rows/row-shape.ts";
import type { RowText } from "../rows/row-text.ts";
import { rowsPart } from "../rows/rows-kernel.ts";
import type { StepScratch } from "./library-products.ts";

const threads = 128;
const block = 16;

/** Where an operand begins in scratch, in bytes. */
export interface Fp4Place {
  readonly codes: number;
  readonly scales: number;
}

const ceil = (size: number, step: number): number => Math.ceil(size / step) * step;

/** Elements of a row of codes: 16 bytes at a time. */
export const paddedLength = (length: number): number => ceil(length, 32);
const blocksOfTiles = (length: number): number => ceil(length, 64) / block;

/** Room for `rows` rows of `length` elements. */
export function takeOperand(scratch: StepScratch, rows: number, length: number): Fp4Place {
  const codes = scratch.take((rows * paddedLength(length)) / 2);
  return { codes, scales: scratch.take(ceil(rows, 128) * blocksOfTiles(length)) };
}

const operandText = (length: number, { codes, scales }: Fp4Place): string =>
  `const Fp4Operand<${length}> to = fp4_operand<${length}>(args.scratch, ${codes}, ${scales});`;

/** A weight of `rows` rows, from its tiles. */
export function repackPart(
  { slots }: Pick<MatmulKernel, "slots">,
  slot: number,
  rows: number,
  place: Fp4Place,
  name: string,
  { about }: KernelContext,
): KernelPart {
  const { rowLength } = slots[slot]!;
  // Of 16 rows and four blocks of each: an element of work for each row and block.
  const items = (ceil(rows, 128) / 16) * (blocksOfTiles(rowLength) / 4) * 64;
  return framePart(
    {
      name,
      about: [...about, `b${slot} as units for FP4 read it`],
      slots,
      threads,
      sharedBytes: 0,
      blocks: [{ extent: constant(items), tile: threads }],
    },
    (code) => {
      code.line(operandText(rowLength, place));
      code.line(`repack_block<${rows}>(${slotView(slot)}, to, block * ${threads} + thread_index());`);
    },
  );
}

/** The rows that a product reads, quantised here or before. */
export function rowsOperandPart(
  kernel: MatmulKernel,
  place: Fp4Place,
  name: string,
  context: KernelContext,
): KernelPart {
  const { prologue, contracted, rows, slots } = kernel;
  const quantizer = quantizerOf(prologue, prologue.body.length - 1);
  // Rows that were quantised before lie in whole blocks.
  const width = quantizer === undefined ? block : pieceWidth(prologue);
  return rowsPart({
    name,
    about: [...context.about, "the rows as units for FP4 read them"],
    slots,
    program: prologue,
    symbolMax: context.symbolMax,
    width,
    finish: (row, code, flat) => {
      code.line(operandText(contracted, place));
      eachBlock(row, code, width, contracted / block, (column) => {
        const value =
          quantizer === undefined
            ? `block_of_values(${row.spreadPiece(prologue.body.length - 1, column)})`
            : row.block(quantizer, column);
        return `store_operand_block(to, ${flat}, static_cast<i32>(${column} >> 4), ${value});`;
      });
      writePadding(
        row,
        code,
        width,
        contracted,
        flat,
        rows.map((loop) => loop.extent),
      );
    },
  });
}

/** Zeros behind the row, and in a row of scales that fills up a tile: no more of these than of rows, which are 128 or more. */
function writePadding(
  row: RowText,
  code: Code,
  width: number,
  length: number,
  flat: string,
  rows: readonly Affine[],
): void {
  const [own, all] = [length / block, blocksOfTiles(length)];
  if (all > own)
    eachBlock(row, code, width, all - own, (column) => {
      return `pad_operand_block(to, ${flat}, static_cast<i32>(${column} >> 4) + ${own});`;
    });
  code.line(`const i64 rows = ${productText(rows)};`);
  code.block(`if (rows + ${flat} < (rows + 127) / 128 * 128)`, () => {
    eachBlock(row, code, width, all, (column) => {
      return `pad_operand_scale(to, rows + ${flat}, static_cast<i32>(${column} >> 4));`;
    });
  });
}

/** A statement for each block, by the thread that has its first column. */
function eachBlock(
  row: RowText,
  code: Code,
  width: number,
  blocks: number,
  statement: (column: string) => string,
): void {
  row.pass(String(blocks * block), (column) => {
    const text = statement(column);
    code.line(width === block ? text : `if ((${column} & 15) == 0) ${text}`);
  });
}
