/**
 * Many rows against weights by products of NVIDIA's library: the rows in scratch, or where they lie; one product for
 * each weight; its f32 sums through the epilogue, which is a launch of its own. Where an epilogue only stores the sums,
 * or adds them to a residual, the product writes what it would have written. Weights of NVFP4 and FP8 become bf16 in scratch
 * first.
 */
import type { MatmulKernel } from "../../plan/types.ts";
import { storageBytes } from "../code.ts";
import {
  constant,
  type KernelContext,
  type KernelPart,
  type LibraryWay,
  type SlotMatrix,
} from "../kernel.ts";
import { dequantisePart, leastRowsDequantised, mostDequantised } from "./dequantise.ts";
import { directRead, prologuePart } from "./gemm-rows.ts";
import { becomesBf16 } from "./gemm-tiles.ts";
import { libraryProducts, matrixOf, StepScratch } from "./library-products.ts";

/** Rows of a tile of our own: with fewer there is little that a library could do better. */
export const leastRows = 128;

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
  const weights = groups.flatMap((group) => group.weights.map((slot) => ({ slot, columns: group.columns })));
  const dequantised = weights.filter(({ slot }) => becomesBf16(kernel.slots[slot]!.dtype));
  const least = dequantised.length === 0 ? leastRows : leastRowsDequantised;
  if (rows < least || groups.some(({ columns }) => columns % 8 !== 0)) return undefined;
  const bytes = dequantised.reduce((sum, { columns }) => sum + 2 * columns * contracted, 0);
  if (bytes > mostDequantised) return undefined;
  const read = readInPlace(kernel);
  const scratch = new StepScratch();
  // The launch writes to the beginning of scratch, whichever way it serves.
  if (read === undefined) scratch.take(rows * contracted * storageBytes("bf16"));
  const before = read === undefined ? [prologue ?? prologuePart(kernel, `${context.name}_x`, context)] : [];
  const placeOf = new Map<number, number>();
  for (const { slot, columns } of dequantised) {
    if (placeOf.has(slot)) continue;
    const at = scratch.take(2 * columns * contracted) / 2;
    placeOf.set(slot, at);
    const name = `${context.name}_w${placeOf.size - 1}`;
    before.push(dequantisePart(kernel, { name, slot, rows: columns, columns: contracted, at }, context));
  }
  const x = read ?? { slot: -1, dtype: "bf16", offset: 0, stride: contracted };
  const { products, after } = libraryProducts(kernel, rows, scratch, context, (slot) => ({
    contracted: constant(contracted),
    x,
    weight: {
      slot: placeOf.has(slot) ? -1 : slot,
      dtype: "bf16",
      offset: placeOf.get(slot) ?? 0,
      stride: contracted,
    },
    scales: undefined,
  }));
  return {
    rows: kernel.rows.map((loop) => loop.extent),
    leastRows: least,
    before,
    products,
    after,
    scratchBytes: scratch.bytes,
  };
}

/** The rows where they lie, as the library can read them: at the same place whatever the symbols. */
function readInPlace(kernel: MatmulKernel): SlotMatrix | undefined {
  const [only] = kernel.prologue.body;
  if (!directRead(kernel) || only?.kind !== "load") return undefined;
  return matrixOf(kernel, only.access, kernel.rows, kernel.contracted, "bf16");
}
