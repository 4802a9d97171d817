/** The row programs around a product of many rows: what runs before it, and over its finished sums. */
import type { MatmulGroup, MatmulKernel } from "../../plan/types.ts";
import { storageType } from "../code.ts";
import type { KernelContext, KernelPart } from "../kernel.ts";
import { pieceWidth } from "../rows/row-shape.ts";
import { rowsPart } from "../rows/rows-kernel.ts";

/** Bytes of scratch up to where the next piece may begin. */
export const alignedScratch = (bytes: number): number => Math.ceil(bytes / 256) * 256;

/** Whether the prologue only reads rows that lie in memory as the products want them: 16 bytes at a time. */
export function directRead({ prologue, slots, inputDtype }: MatmulKernel): boolean {
  const { body, loops } = prologue;
  const [only] = body;
  if (body.length !== 1 || only?.kind !== "load" || loops.length > 1) return false;
  const { access } = only;
  if (slots[access.slot]!.dtype !== inputDtype) return false;
  const steps = [
    ...access.strides,
    access.offset.constant,
    ...access.offset.terms.map((term) => term.factor),
  ];
  return access.rowStride === 1 && steps.every((step) => step % 8 === 0);
}

export function prologuePart(kernel: MatmulKernel, name: string, context: KernelContext): KernelPart {
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

/**
 * A row program over the finished sums in scratch.
 * @param sumsAt an i64 expression: where a row of a weight's sums begins, in f32 elements.
 */
export function epiloguePart(
  kernel: MatmulKernel,
  group: MatmulGroup,
  sumsAt: (weight: number, row: string) => string,
  name: string,
  context: KernelContext,
): KernelPart {
  const { epilogue } = group;
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
      `load_piece<float, ${count}>(global<float>(args.scratch), ${sumsAt(weight, row)} + (i_flat % ${inColumns}) * ${rowLength} + ${column})`,
  });
}
