/** What the steps of a program took, over several profiles, beside what the cost model says of them. */
import { costOf, type Plan, type SymbolValues } from "@weft/compiler";
import { userProblem, WeftError } from "@weft/dsl";
import type { Profile, StepSpan } from "../device.ts";

/** How long lanes computed, in nanoseconds: what they waited for each other is left out. */
export interface Busy {
  /** Over the lanes. */
  readonly mean: number;
  /** Of the lane that computed longest. */
  readonly most: number;
}

/** One step. Times are medians over the profiles, in nanoseconds. */
export interface StepFigures {
  /** Index into the program's steps. */
  readonly step: number;
  /** Index into the plan's kernels. */
  readonly kernel: number;
  readonly name: string;
  readonly kind: string;
  readonly origins: readonly string[];
  readonly nanoseconds: number;
  /** Undefined where one lane executes the steps. */
  readonly busy?: Busy;
  /** Read and written, at least. */
  readonly bytes: number;
  /** Floating-point operations; a multiply-add is two. */
  readonly operations: number;
}

/**
 * The steps of a program, in order.
 * @param at the symbols that the profiles were taken with; sums may be left out
 * @throws WeftError without a profile, or for a program that the plan does not have
 */
export function stepFigures(
  plan: Plan,
  program: string,
  at: SymbolValues,
  profiles: readonly Pick<Profile, "steps">[],
): StepFigures[] {
  const planned = plan.programs.find(({ name }) => name === program);
  if (planned === undefined || profiles.length === 0) {
    throw new WeftError([
      userProblem("profile", "needs a program of the plan and at least one run of it", {
        given: `${JSON.stringify(program)}, ${profiles.length} runs`,
      }),
    ]);
  }
  const costs = costOf(plan, planned, at);
  return planned.steps.map(({ kernel, origins }, step): StepFigures => {
    const runs = profiles.map(({ steps }) => steps[step]!);
    const busy = runs.map(({ spans }) => busyOf(spans));
    const { readBytes, writtenBytes, operations } = costs[step]!;
    return {
      step,
      kernel,
      name: plan.kernels[kernel]!.name,
      kind: plan.kernels[kernel]!.kind,
      origins,
      nanoseconds: median(runs.map(({ nanoseconds }) => nanoseconds)),
      ...(runs[0]!.spans.length > 1
        ? { busy: { mean: median(busy.map(({ mean }) => mean)), most: median(busy.map(({ most }) => most)) } }
        : {}),
      bytes: readBytes + writtenBytes,
      operations,
    };
  });
}

function busyOf(spans: readonly StepSpan[]): Busy {
  const times = spans.map(({ begin, end, waited }) => end - begin - waited);
  return { mean: times.reduce((sum, time) => sum + time, 0) / times.length, most: Math.max(...times) };
}

/** Nanoseconds of a run: its steps follow each other without a gap. */
export const totalOf = ({ steps }: { readonly steps: readonly { readonly nanoseconds: number }[] }): number =>
  steps.reduce((sum, { nanoseconds }) => sum + nanoseconds, 0);

/** The profile whose time is the median, of two in the middle the shorter. */
export function medianProfile(profiles: readonly Profile[]): Profile {
  return profiles.toSorted((a, b) => totalOf(a) - totalOf(b))[(profiles.length - 1) >> 1]!;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
