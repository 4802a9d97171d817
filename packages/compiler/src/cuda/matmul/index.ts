/**
 * Matmuls: for a few rows a product that streams the weights (gemv), else tiles (gemm). Which one is decided here, from
 * the largest number of rows; a decode step and a prefill step are different kernels of the plan already.
 */
import type { MatmulKernel } from "../../plan/types.ts";
import { storageBytes } from "../code.ts";
import { type KernelContext, type KernelText, rowsOf } from "../kernel.ts";
import { emitGemm } from "./gemm.ts";
import { emitGemv } from "./gemv.ts";

/** More rows than this would make each weight wait for too many multiplications. */
const gemvRows = 8;
/** What the rows may take of the block's shared memory; 48 KiB would need no leave, Ada has 99 KiB. */
const gemvBytes = 80 * 1024;

export function isGemv(kernel: MatmulKernel, symbolMax: readonly number[]): boolean {
  const constant = kernel.rows.every(({ extent }) => extent.terms.length === 0);
  const rows = rowsOf(kernel, symbolMax);
  return (
    constant && rows <= gemvRows && rows * kernel.contracted * storageBytes(kernel.inputDtype) <= gemvBytes
  );
}

export function emitMatmul(kernel: MatmulKernel, context: KernelContext): KernelText {
  return isGemv(kernel, context.symbolMax) ? emitGemv(kernel, context) : emitGemm(kernel, context);
}
