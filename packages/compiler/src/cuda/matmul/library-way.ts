/**
 * Many rows against weights by products of NVIDIA's library: the rows in scratch, or where they lie; one product for
 * each weight; its f32 sums through the epilogue, which is a launch of its own. Where an epilogue only stores the sums,
 * or adds them to a residual, the product writes what it would have written. Weights of NVFP4 become bf16 in scratch first.
 */
import type { Access, Affine, Loop, MatmulGroup, MatmulKernel, PlanDtype } from "../../plan/types.ts";
import { constantOf, storageBytes } from "../code.ts";
import {
  constant,
  type KernelContext,
  type KernelPart,
  type LibraryWay,
  type SlotMatrix,
  type SlotProduct,
} from "../kernel.ts";
import { dequantisePart, leastRowsDequantised, mostDequantised } from "./dequantise.ts";
import { alignedScratch, directRead, epiloguePart, prologuePart } from "./gemm-rows.ts";

/** Rows of a tile of our own: with fewer there is little that a library could do better. */
const leastRows = 128;
/** The library reads and writes 16 bytes at a time. */
const alignment = 16;

/**
 * @param rows the most rows at once
 * @param prologue the launch in which the other way prepares the rows, if it does
 */
export function libraryWay(
  kernel: MatmulKernel,
  rows: number,
  prologue: KernelPart | undefined,
  context: KernelContext,
): LibraryWay | undefined {
  const { contracted, groups } = kernel;
  const isBlocks = (slot: number) => kernel.slots[slot]!.dtype === "nvfp4";
  const weights = groups.flatMap((group) => group.weights.map((slot) => ({ slot, columns: group.columns })));
  const dequantised = weights.filter(({ slot }) => isBlocks(slot));
  const least = dequantised.length === 0 ? leastRows : leastRowsDequantised;
  if (rows < least || groups.some(({ columns }) => columns % 8 !== 0)) return undefined;
  const bytes = dequantised.reduce((sum, { columns }) => sum + 2 * columns * contracted, 0);
  if (bytes > mostDequantised) return undefined;
  const read = readInPlace(kernel);
  let scratchBytes = 0;
  const take = (bytes: number): number => {
    const at = scratchBytes;
    scratchBytes += alignedScratch(bytes);
    return at;
  };
  // The launch writes to the beginning of scratch, whichever way it serves.
  if (read === undefined) take(rows * contracted * storageBytes("bf16"));
  const before = read === undefined ? [prologue ?? prologuePart(kernel, `${context.name}_x`, context)] : [];
  const placeOf = new Map<number, number>();
  for (const { slot, columns } of dequantised) {
    if (placeOf.has(slot)) continue;
    const at = take(2 * columns * contracted) / 2;
    placeOf.set(slot, at);
    const name = `${context.name}_w${placeOf.size - 1}`;
    before.push(dequantisePart(kernel, { name, slot, rows: columns, at }, context));
  }
  const x = read ?? { slot: -1, dtype: "bf16", offset: 0, stride: contracted };
  const after: KernelPart[] = [];
  const products = groups.flatMap((group, index): SlotProduct[] => {
    const { columns, weights } = group;
    const written = writtenInPlace(kernel, group);
    const outs = weights.map((): SlotMatrix => {
      if (written !== undefined) return written.out;
      const offset = take(4 * rows * columns) / 4;
      return { slot: -1, dtype: "f32", offset, stride: columns };
    });
    if (written === undefined) {
      const rowOfSums = (weight: number, row: string) => `${outs[weight]!.offset}LL + ${row} * ${columns}`;
      after.push(epiloguePart(kernel, group, rowOfSums, `${context.name}_sums${index}`, context));
    }
    return weights.map((slot, weight) => ({
      columns,
      contracted: constant(contracted),
      x,
      isXTransposed: false,
      weight: {
        slot: placeOf.has(slot) ? -1 : slot,
        dtype: "bf16",
        offset: placeOf.get(slot) ?? 0,
        stride: contracted,
      },
      isWeightTransposed: false,
      out: outs[weight]!,
      addend: written?.addend,
    }));
  });
  return {
    rows: kernel.rows.map((loop) => loop.extent),
    leastRows: least,
    before,
    products,
    after,
    scratchBytes,
  };
}

/** The rows where they lie, as the library can read them: at the same place whatever the symbols. */
function readInPlace(kernel: MatmulKernel): SlotMatrix | undefined {
  const [only] = kernel.prologue.body;
  if (!directRead(kernel) || only?.kind !== "load") return undefined;
  return matrixOf(kernel, only.access, kernel.rows, kernel.contracted, "bf16");
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
function matrixOf(
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
