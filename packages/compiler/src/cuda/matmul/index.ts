/**
 * Matmuls: for a few rows a product that streams the weights (gemv), else tiles (gemm). Which one is decided here, from
 * the largest number of rows; a decode step and a prefill step are different kernels of the plan already.
 */
import type { MatmulKernel } from "../../plan/types.ts";
import { type KernelContext, type KernelText, rowsOf } from "../kernel.ts";
import { emitGemm } from "./gemm.ts";
import { emitGemv, gemvShared } from "./gemv.ts";
import { emitNvfp4Gemv, isOfNvfp4, nvfp4Shared } from "./nvfp4-gemv.ts";

/** More rows than this would make each weight wait for too many multiplications. */
const gemvRows = 8;

export function isGemv(kernel: MatmulKernel, symbolMax: readonly number[]): boolean {
  const constant = kernel.rows.every(({ extent }) => extent.terms.length === 0);
  const rows = rowsOf(kernel, symbolMax);
  const shared = isOfNvfp4(kernel) ? nvfp4Shared(kernel, rows) : gemvShared(kernel, rows);
  return constant && rows <= gemvRows && shared !== undefined;
}

export function emitMatmul(kernel: MatmulKernel, context: KernelContext): KernelText {
  if (!isGemv(kernel, context.symbolMax)) return emitGemm(kernel, context);
  return isOfNvfp4(kernel) ? emitNvfp4Gemv(kernel, context) : emitGemv(kernel, context);
}
