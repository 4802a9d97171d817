/** What becomes of a library's products: f32 sums in scratch that an epilogue finishes, or the values themselves in place. */
import type { Access, Affine, Loop, MatmulGroup, MatmulKernel, PlanDtype } from "../../plan/types.ts";
import { constantOf, storageBytes } from "../code.ts";
import type { KernelContext, KernelPart, SlotMatrix, SlotProduct } from "../kernel.ts";
import { alignedScratch, epiloguePart } from "./gemm-rows.ts";

/** The library reads and writes 16 bytes at a time. */
const alignment = 16;

/** Scratch of one step while it is shared out. */
export class StepScratch {
  bytes = 0;

  /** @returns where the piece begins, in bytes */
  take(bytes: number): number {
    const at = this.bytes;
    this.bytes += alignedScratch(bytes);
    return at;
  }
}

/**
 * A product for each weight, and the launches behind them.
 * @param rows the most rows at once
 * @param operands both sides of the product with the weight in a slot
 */
export function libraryProducts(
  kernel: MatmulKernel,
  rows: number,
  scratch: StepScratch,
  context: KernelContext,
  operands: (slot: number) => Pick<SlotProduct, "contracted" | "x" | "weight" | "scales">,
): { readonly products: readonly SlotProduct[]; readonly after: readonly KernelPart[] } {
  const after: KernelPart[] = [];
  const products = kernel.groups.flatMap((group, index): SlotProduct[] => {
    const { columns, weights } = group;
    const written = writtenInPlace(kernel, group);
    const outs = weights.map((): SlotMatrix => {
      if (written !== undefined) return written.out;
      const offset = scratch.take(4 * rows * columns) / 4;
      return { slot: -1, dtype: "f32", offset, stride: columns };
    });
    if (written === undefined) {
      const rowOfSums = (weight: number, row: string) => `${outs[weight]!.offset}LL + ${row} * ${columns}`;
      after.push(epiloguePart(kernel, group, rowOfSums, `${context.name}_sums${index}`, context));
    }
    return weights.map((slot, weight) => ({
      ...operands(slot),
      columns,
      isXTransposed: false,
      isWeightTransposed: false,
      out: outs[weight]!,
      addend: written?.addend,
    }));
  });
  return { products, after };
}

/** What the epilogue writes, where it stores the sums of one weight as they are, or added to something. */
function writtenInPlace(
  kernel: MatmulKernel,
  { epilogue, weights }: MatmulGroup,
): { readonly out: SlotMatrix; readonly addend: SlotMatrix | undefined } | undefined {
  const { body, loops, row } = epilogue;
  const store = body.at(-1);
  if (weights.length !== 1 || store?.kind !== "store") return undefined;
  const length = row.extent.constant;
  const whole = ({ length: own }: { readonly length: Affine }) => constantOf(own) === length;
  const { dtype } = kernel.slots[store.access.slot]!;
  const out = matrixOf(kernel, store.access, loops, length, dtype);
  if (out === undefined || !whole(store) || (dtype !== "f32" && dtype !== "bf16")) return undefined;
  let stored = store.operand;
  const rounded = body[stored];
  // The library rounds what it stores as bf16, once.
  if (rounded?.kind === "round" && rounded.dtype === dtype) stored = rounded.operand;
  const sums = (register: number) => {
    const one = body[register];
    return one?.kind === "accumulator" && whole(one);
  };
  const used = (registers: readonly number[]) =>
    new Set([body.length - 1, store.operand, stored, ...registers]).size === body.length;
  if (sums(stored) && used([])) return { out, addend: undefined };
  const sum = body[stored];
  if (sum?.kind !== "binary" || sum.function !== "add" || dtype !== "f32") return undefined;
  const [first, other] = sums(sum.left) ? [sum.left, sum.right] : [sum.right, sum.left];
  const load = body[other];
  if (!sums(first) || load?.kind !== "load" || !whole(load) || !used([first, other])) return undefined;
  const addend = matrixOf(kernel, load.access, loops, length, dtype);
  return addend === undefined ? undefined : { out, addend };
}

/** Rows that lie at equal distances, each contiguous, though loops over columns may cut it. */
export function matrixOf(
  { slots, rows }: MatmulKernel,
  { slot, offset, strides, rowStride }: Access,
  loops: readonly Loop[],
  length: number,
  dtype: PlanDtype,
): SlotMatrix | undefined {
  const first = constantOf(offset);
  if (slots[slot]!.dtype !== dtype || rowStride !== 1 || first === undefined || first < 0) return undefined;
  let width = length;
  for (let loop = loops.length - 1; loop >= rows.length; loop--) {
    const extent = constantOf(loops[loop]!.extent);
    if (strides[loop] !== width || extent === undefined) return undefined;
    width *= extent;
  }
  const stride = strides[rows.length - 1] ?? width;
  let distance = stride;
  for (let loop = rows.length - 1; loop >= 0; loop--) {
    if (strides[loop] !== distance) return undefined;
    const extent = constantOf(loops[loop]!.extent);
    if (extent === undefined && loop > 0) return undefined;
    distance *= extent ?? 1;
  }
  const step = alignment / storageBytes(dtype);
  if (stride < width || stride % step !== 0 || first % step !== 0) return undefined;
  return { slot, dtype, offset: first, stride };
}
