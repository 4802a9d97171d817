/** Whether products of two NVFP4 matrices go to units that multiply FP4: asked for by whoever emits, decided kernel by kernel. */
import { unsupportedProblem, WeftError } from "@weft/dsl";
import type { Plan } from "../plan/types.ts";
import { fp4Refusal, isOfTwoNvfp4 } from "./matmul/fp4-way.ts";
import { leastRows } from "./matmul/library-way.ts";
import { quantisedSlots } from "./quantised-slots.ts";

/**
 * How products of two NVFP4 matrices are computed: by the values that their codes mean on any GPU, or by units for FP4, which
 * GPUs of compute capability 10.0 and later have.
 */
export type Fp4Products = "emulated" | "hardware";

/** What becomes of a kernel's products of two NVFP4 matrices. */
export interface Fp4Decision {
  /** Index into `Plan.kernels`. */
  readonly kernel: number;
  /** In units for FP4, where these are asked for. */
  readonly isHardware: boolean;
  /** From how many rows on; or why not at all. */
  readonly reason: string;
}

/** @returns of every kernel with such products, what units for FP4 would do of it */
export function fp4Decisions(plan: Plan): readonly Fp4Decision[] {
  const quantised = quantisedSlots(plan);
  const symbolMax = plan.symbols.map((symbol) => symbol.max);
  return plan.kernels.flatMap((kernel, index): Fp4Decision[] => {
    if (kernel.kind !== "matmul" || !isOfTwoNvfp4(kernel, quantised[index]!)) return [];
    const refusal = fp4Refusal(kernel, symbolMax);
    return [
      { kernel: index, isHardware: refusal === undefined, reason: refusal ?? `from ${leastRows} rows on` },
    ];
  });
}

/** @throws WeftError for a plan that has nothing for such units: what was asked for would not happen */
export function requireFp4Products(plan: Plan): void {
  const decisions = fp4Decisions(plan);
  if (decisions.some(({ isHardware }) => isHardware)) return;
  const reasons = [...new Set(decisions.map(({ reason }) => reason))];
  throw new WeftError([
    unsupportedProblem("fp4", "units for FP4 must have products of two NVFP4 matrices to compute", {
      given: reasons.length === 0 ? `the plan ${plan.name}, which has none` : reasons.join("; "),
      remedy: 'open a model in NVFP4 with activations "nvfp4", or leave fp4 "hardware" out',
    }),
  ]);
}
