/** A contraction of bf16 matrices as one product of NVIDIA's library, either operand as it lies or transposed. */
import type { Access, ContractKernel } from "../../plan/types.ts";
import { constantOf, storageBytes } from "../code.ts";
import { type KernelContext, type LibraryWay, largest, type SlotMatrix } from "../kernel.ts";
import type { ContractShape, ProductAxis } from "./contract-shape.ts";

/** Rows of a tile of our own: with fewer there is little that a library could do better. */
const leastRows = 128;
/** The library reads and writes 16 bytes at a time. */
const alignment = 16;

export function contractLibraryWay(
  kernel: ContractKernel,
  { rows, columns, depth, isSwapped }: ContractShape,
  { symbolMax }: KernelContext,
): LibraryWay | undefined {
  const size = constantOf(columns.extent);
  if (size === undefined || size % 8 !== 0 || largest(rows.extent, symbolMax) < leastRows) return undefined;
  const x = isSwapped
    ? operandOf(kernel, kernel.b, rows, depth, "b")
    : operandOf(kernel, kernel.a, rows, depth, "a");
  const w = isSwapped
    ? operandOf(kernel, kernel.a, columns, depth, "a")
    : operandOf(kernel, kernel.b, columns, depth, "b");
  const out = matrixOf(kernel, kernel.out, rows.out, columns.out);
  if (x === undefined || w === undefined || out === undefined) return undefined;
  if (out.dtype !== "f32" && out.dtype !== "bf16") return undefined;
  const product = {
    columns: size,
    contracted: depth.extent,
    x: x.matrix,
    isXTransposed: x.isTransposed,
    weight: w.matrix,
    isWeightTransposed: w.isTransposed,
    out,
    addend: undefined,
  };
  return { rows: [rows.extent], leastRows, before: [], products: [product], after: [], scratchBytes: 0 };
}

interface LibraryOperand {
  readonly matrix: SlotMatrix;
  readonly isTransposed: boolean;
}

function operandOf(
  kernel: ContractKernel,
  access: Access,
  axis: ProductAxis,
  depth: ProductAxis,
  of: "a" | "b",
): LibraryOperand | undefined {
  const [step, deepStep] = [axis[of], depth[of]];
  const isTransposed = deepStep !== 1;
  const [outer, inner] = isTransposed ? [deepStep, step] : [step, deepStep];
  const length = constantOf((isTransposed ? axis : depth).extent);
  // Rows must not overlap, whatever their length at run time.
  if (length === undefined || outer < length) return undefined;
  const matrix = matrixOf(kernel, access, outer, inner);
  return matrix === undefined ? undefined : { matrix, isTransposed };
}

function matrixOf(
  { slots }: ContractKernel,
  { slot, offset }: Access,
  stride: number,
  inner: number,
): SlotMatrix | undefined {
  const first = constantOf(offset);
  const { dtype } = slots[slot]!;
  const step = alignment / storageBytes(dtype);
  if (inner !== 1 || first === undefined || first < 0 || first % step !== 0) return undefined;
  return stride > 0 && stride % step === 0 ? { slot, dtype, offset: first, stride } : undefined;
}
