/** What a training run is told, and what it tells. */
import {
  type Checked,
  type Problem,
  type Problems,
  unlessProblems,
  userProblem,
} from "../config/problems.ts";
import type { BatchStream } from "./data/batches.ts";
import type { StepMetrics } from "./metrics/metrics-file.ts";
import type { JsonValue, Trainable } from "./trainable.ts";

export interface TrainOptions {
  /** Directory of the run: `checkpoints/`, `metrics.jsonl`, `curves.svg`, `memory.json`; made where it is absent. */
  readonly folder: string;
  readonly model: Trainable;
  readonly data: BatchStream;
  /** Updates in all, those before a resumption included. */
  readonly steps: number;
  /** Ends earlier, once so many passes over the data are done. */
  readonly epochs?: number;
  /** Batches of one update. Default 1. */
  readonly accumulate?: number;
  /** Learning rate of a step, the first of which is 1. */
  readonly learningRate: (step: number) => number;
  /** The schedule as plain JSON: a run is resumed only with the same. */
  readonly schedule: JsonValue;
  /** Of all random numbers; integer from 0 to 2^53 - 1. */
  readonly seed: number;
  readonly evaluation?: {
    readonly data: BatchStream;
    /** Steps between two evaluations; the last step has one anyway. */
    readonly every: number;
    /** At most so many batches. Default: all. */
    readonly batches?: number;
  };
  readonly samples?: {
    /** Steps between two of them; the last step has one anyway. */
    readonly every: number;
    /** Lets the model say something: see `TrainingModel.generator`. */
    readonly take: () => Promise<string>;
  };
  readonly checkpoints?: {
    readonly everySteps?: number;
    readonly everyMinutes?: number;
    /** The newest so many are kept. Default 3. */
    readonly keep?: number;
    /** Files that are copied into each: config.json, tokenizer files. */
    readonly copy?: readonly string[];
  };
  /** Goes on from the newest whole checkpoint; where there is none, from the beginning. Default false. */
  readonly resume?: boolean;
  /** Steps in a row whose loss or gradient may be not finite before the run ends. Default 3. */
  readonly mostSkipped?: number;
  /** Aborted: the step is finished, a checkpoint saved, and the run ends. */
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: TrainEvent) => void;
}

export type TrainEvent =
  /** A checkpoint that was passed over, with the reasons. */
  | { readonly kind: "damaged"; readonly directory: string; readonly problems: Problems }
  | { readonly kind: "resumed"; readonly directory: string; readonly step: number }
  | { readonly kind: "step"; readonly metrics: StepMetrics; readonly steps: number }
  | { readonly kind: "checkpoint"; readonly directory: string; readonly step: number };

export interface TrainResult {
  readonly step: number;
  readonly epochs: number;
  readonly targets: number;
  readonly skippedSteps: number;
  /** Of the last step and the last evaluation of this call. */
  readonly loss: number | undefined;
  readonly evaluationLoss: number | undefined;
  readonly stopped: "finished" | "interrupted";
  /** The checkpoint of the last step. */
  readonly checkpoint: string;
}

/** Left: every number of nonsense, each by its name. */
export function checkTrainOptions(options: TrainOptions): Checked<void> {
  const problems: Problem[] = [];
  const check = (holds: boolean, name: string, requirement: string, given: unknown) => {
    if (!holds) {
      problems.push(
        userProblem(name, `must be ${requirement}`, { given: String(given), remedy: "correct the option" }),
      );
    }
  };
  const count = (value: number | undefined, name: string, least = 1) =>
    check(
      value === undefined || (Number.isSafeInteger(value) && value >= least),
      name,
      `an integer of at least ${least}`,
      value,
    );
  const { steps, epochs, accumulate, seed, evaluation, samples, checkpoints, mostSkipped, learningRate } =
    options;
  count(steps, "steps");
  count(accumulate, "accumulate");
  count(seed, "seed", 0);
  count(evaluation?.every, "evaluation.every");
  count(evaluation?.batches, "evaluation.batches");
  count(samples?.every, "samples.every");
  count(checkpoints?.everySteps, "checkpoints.everySteps");
  count(checkpoints?.keep, "checkpoints.keep");
  count(mostSkipped, "mostSkipped", 0);
  check(epochs === undefined || epochs > 0, "epochs", "a number above 0", epochs);
  const minutes = checkpoints?.everyMinutes;
  check(minutes === undefined || minutes > 0, "checkpoints.everyMinutes", "a number above 0", minutes);
  const first = learningRate(1);
  check(Number.isFinite(first) && first >= 0, "learningRate", "a finite number of at least 0", first);
  return unlessProblems(problems, () => undefined);
}
