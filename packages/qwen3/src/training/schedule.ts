/** Learning rates by step: pure functions of a number, so that a plan never depends on them. */
import { type Problem, userProblem, WeftError } from "../config/problems.ts";

/** The learning rate of an update; `step` counts from 1. */
export type Schedule = (step: number) => number;

export interface ScheduleOptions {
  /**
   * `constant`: stays at its peak. `linear`, `cosine`: begins with it behind the warmup, and falls towards `finalShare`, which
   * the update behind the last one would have: none of them is made with a rate of 0. Default `cosine`.
   */
  readonly shape?: "constant" | "linear" | "cosine";
  /** The largest rate. */
  readonly learningRate: number;
  /** How many updates there are in all. */
  readonly steps: number;
  /** The first updates, over which the rate rises from 0 by equal amounts, to its peak at the last of them. Default 0. */
  readonly warmup?: number;
  /** What the rate falls to, as a share of the peak. Default 0. */
  readonly finalShare?: number;
}

/**
 * A rate that rises, then stays or falls. Cosine: Loshchilov and Hutter 2017, "SGDR", half a period, without restarts.
 * Past the last step the rate is what it falls to.
 * @throws WeftError with every option that makes no sense
 * @example const rate = schedule({ learningRate: 3e-4, steps: 1000, warmup: 50 })(step);
 */
export function schedule(options: ScheduleOptions): Schedule {
  const { shape = "cosine", learningRate, steps, warmup = 0, finalShare = 0 } = options;
  const problems: Problem[] = [];
  const require = (fits: boolean, requirement: string, given: number) => {
    const remedy = "correct the option";
    if (!fits) problems.push(userProblem("schedule", requirement, { given: String(given), remedy }));
  };
  require(learningRate >= 0 &&
    Number.isFinite(learningRate), "learningRate must be a number of at least 0", learningRate);
  require(Number.isSafeInteger(steps) && steps >= 1, "steps must be an integer of at least 1", steps);
  require(Number.isSafeInteger(warmup) &&
    warmup >= 0 &&
    !(warmup > steps), `warmup must be an integer from 0 to the steps, ${steps}`, warmup);
  require(finalShare >= 0 && finalShare <= 1, "finalShare must be from 0 to 1", finalShare);
  const [first, ...rest] = problems;
  if (first !== undefined) throw new WeftError([first, ...rest]);
  return (step) => {
    if (step <= warmup) return (learningRate * Math.max(0, step)) / warmup;
    const progress = step > steps ? 1 : (step - warmup - 1) / (steps - warmup);
    return learningRate * (finalShare + (1 - finalShare) * remaining[shape](progress));
  };
}

/** What is left of the way from the peak to the end, by progress from 0 to 1. */
const remaining = {
  constant: () => 1,
  linear: (progress: number) => 1 - progress,
  cosine: (progress: number) => (1 + Math.cos(Math.PI * progress)) / 2,
} as const;
