/**
 * A contraction of matrices of bf16, or of NVFP4 that become bf16 in scratch, as one product of NVIDIA's library, either
 * operand as it lies or transposed.
 */
import type { Access, ContractKernel } from "../../plan/types.ts";
import { constantOf, storageBytes } from "../code.ts";
import { type KernelContext, type KernelPart, type LibraryWay, largest, type SlotMatrix } from "../kernel.ts";
import { dequantisePart, leastRowsDequantised, mostDequantised } from "../matmul/dequantise.ts";
import { alignedScratch } from "../matmul/gemm-rows.ts";
import type { ContractShape, ProductAxis } from "./contract-shape.ts";

/** Rows of a tile of our own: with fewer there is little that a library could do better. */
const leastRows = 128;
/** The library reads and writes 16 bytes at a time. */
const alignment = 16;

export function contractLibraryWay(
  kernel: ContractKernel,
  { rows, columns, depth, isSwapped }: ContractShape,
  context: KernelContext,
): LibraryWay | undefined {
  const size = constantOf(columns.extent);
  if (size === undefined || size % 8 !== 0) return undefined;
  const scratch: Scratch = { kernel, context, before: [], bytes: 0 };
  const x = isSwapped
    ? operandOf(scratch, kernel.b, rows, depth, "b")
    : operandOf(scratch, kernel.a, rows, depth, "a");
  const w = isSwapped
    ? operandOf(scratch, kernel.a, columns, depth, "a")
    : operandOf(scratch, kernel.b, columns, depth, "b");
  const out = matrixOf(kernel, kernel.out, rows.out, columns.out);
  if (x === undefined || w === undefined || out === undefined) return undefined;
  if (out.dtype !== "f32" && out.dtype !== "bf16") return undefined;
  const { before, bytes } = scratch;
  const least = before.length === 0 ? leastRows : leastRowsDequantised;
  if (largest(rows.extent, context.symbolMax) < least || bytes > mostDequantised) return undefined;
  const product = {
    columns: size,
    contracted: depth.extent,
    x: x.matrix,
    isXTransposed: x.isTransposed,
    weight: w.matrix,
    isWeightTransposed: w.isTransposed,
    out,
    addend: undefined,
    scales: undefined,
  };
  return {
    rows: [rows.extent],
    leastRows: least,
    before,
    products: [product],
    after: [],
    scratchBytes: bytes,
  };
}

/** What operands of NVFP4 become bf16 in. */
interface Scratch {
  readonly kernel: ContractKernel;
  readonly context: KernelContext;
  readonly before: KernelPart[];
  bytes: number;
}

interface LibraryOperand {
  readonly matrix: SlotMatrix;
  readonly isTransposed: boolean;
}

function operandOf(
  scratch: Scratch,
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
  const { kernel } = scratch;
  // Only products of a matmul dequantise it.
  if (kernel.slots[access.slot]!.dtype === "f8e4m3") return undefined;
  if (kernel.slots[access.slot]!.dtype === "nvfp4") {
    const rows = constantOf((isTransposed ? depth : axis).extent);
    const matrix = rows === undefined ? undefined : dequantised(scratch, access, rows, outer, inner);
    return matrix === undefined ? undefined : { matrix, isTransposed };
  }
  const matrix = matrixOf(kernel, access, outer, inner);
  return matrix === undefined ? undefined : { matrix, isTransposed };
}

/** A whole matrix as bf16 in scratch. */
function dequantised(
  scratch: Scratch,
  { slot, offset }: Access,
  rows: number,
  stride: number,
  inner: number,
): SlotMatrix | undefined {
  const { kernel, context, before, bytes } = scratch;
  if (inner !== 1 || constantOf(offset) !== 0 || stride !== kernel.slots[slot]!.rowLength) return undefined;
  const at = bytes / 2;
  const name = `${context.name}_w${before.length}`;
  before.push(dequantisePart(kernel, { name, slot, rows, columns: stride, at }, context));
  scratch.bytes += alignedScratch(2 * rows * stride);
  return { slot: -1, dtype: "bf16", offset: at, stride };
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
