/** Which kernels of a step take the time, and at what rates. */
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

/** A step of the plan, with its time in each profile. */
export interface StepProfile {
  readonly kernel: string;
  readonly kind: string;
  readonly milliseconds: readonly number[];
  readonly operations: number;
  readonly bytes: number;
}

/** The steps of one kernel together. */
export function sharesOf(steps: readonly StepProfile[]): KernelShare[] {
  const names = new Set(steps.map(({ kernel }) => kernel));
  return Array.from(names, (kernel): KernelShare => {
    const of = steps.filter((one) => one.kernel === kernel);
    const sum = (count: (one: StepProfile) => number) => of.reduce((total, one) => total + count(one), 0);
    const times = of[0]!.milliseconds.map((_, profile) => sum((one) => one.milliseconds[profile]!));
    return {
      kernel,
      kind: of[0]!.kind,
      steps: of.length,
      milliseconds: median(times),
      operations: sum((one) => one.operations),
      bytes: sum((one) => one.bytes),
    };
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
