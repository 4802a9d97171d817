/** Which kernels of a step take the time, and at what rates. */
import { type Compiled, type StepCost, totalCost } from "@weft/compiler";
import type { StepTime } from "@weft/runtime";
import { digits, median, percent } from "../support/statistics.ts";
import { table } from "../support/table.ts";

export interface KernelShare {
  readonly kernel: string;
  readonly kind: string;
  readonly steps: number;
  /** Median over the profiles of the sum over the steps. */
  readonly milliseconds: number;
  readonly operations: number;
  readonly bytes: number;
}

/** The steps of one kernel together. */
export function sharesOf(
  { plan }: Compiled,
  costs: readonly StepCost[],
  profiles: readonly (readonly StepTime[])[],
): KernelShare[] {
  const program = plan.programs[0]!;
  return plan.kernels.flatMap(({ name, kind }, index): KernelShare[] => {
    const steps = program.steps.flatMap((step, at) => (step.kernel === index ? [at] : []));
    if (steps.length === 0) return [];
    const { operations, readBytes, writtenBytes } = totalCost(steps.map((at) => costs[at]!));
    const times = profiles.map(
      (profile) => steps.reduce((sum, at) => sum + profile[at]!.nanoseconds, 0) / 1e6,
    );
    const bytes = readBytes + writtenBytes;
    return [{ kernel: name, kind, steps: steps.length, milliseconds: median(times), operations, bytes }];
  });
}

/** Every kernel that takes at least a hundredth, the rest together, and all. */
export function tableOfShares(shares: readonly KernelShare[]): string {
  const all = shares.reduce((sum, one) => sum + one.milliseconds, 0);
  const sorted = shares.toSorted((a, b) => b.milliseconds - a.milliseconds);
  const large = sorted.filter((one) => one.milliseconds >= all / 100);
  const together = (kernel: string, some: readonly KernelShare[]): KernelShare => {
    const sum = (of: (one: KernelShare) => number) => some.reduce((total, one) => total + of(one), 0);
    return {
      kernel,
      kind: "",
      steps: sum((one) => one.steps),
      milliseconds: sum((one) => one.milliseconds),
      operations: sum((one) => one.operations),
      bytes: sum((one) => one.bytes),
    };
  };
  const small = sorted.slice(large.length);
  const rest = small.length === 0 ? [] : [together(`${small.length} others`, small)];
  return table([
    ["kernel", "kind", "steps", "ms", "share", "GFLOP/s", "GB/s"],
    ...[...large, ...rest, together("all", sorted)].map((one) => [
      one.kernel,
      one.kind,
      String(one.steps),
      digits(one.milliseconds),
      percent(one.milliseconds / all),
      digits(one.operations / one.milliseconds / 1e6),
      digits(one.bytes / one.milliseconds / 1e6),
    ]),
  ]);
}
