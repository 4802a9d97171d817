/**
 * The training loop. What decides a step is its number, the seed, the batch's place in the data and the tensors; all of
 * these are in a checkpoint, so a run that was killed goes on with the same bits.
 */
import { join } from "node:path";
import { makeFolder } from "@weft/runtime";
import * as Either from "fp-ts/lib/Either.js";
import {
  type Checked,
  messageOf,
  type Problem,
  type Problems,
  refuse,
  unlessProblems,
  WeftError,
} from "../config/problems.ts";
import { latestCheckpoint } from "./checkpoint/find.ts";
import { restoreCheckpoint } from "./checkpoint/load.ts";
import { isOfNewerVersion, type RunIdentity, type TrainerState } from "./checkpoint/manifest.ts";
import { checkpointName } from "./checkpoint/names.ts";
import { saveCheckpoint } from "./checkpoint/save.ts";
import { type BatchStream, dataStart } from "./data/batches.ts";
import { MemoryPhases } from "./metrics/memory-phases.ts";
import { finite, MetricsFile, type StepMetrics } from "./metrics/metrics-file.ts";
import { writeCurves } from "./metrics/plot.ts";
import { largestParameter, nonFiniteParameter, nonFiniteProblem } from "./non-finite-step.ts";
import type { StepResult, Trainable } from "./trainable.ts";
import { checkTrainOptions, type TrainOptions, type TrainResult } from "./trainer-options.ts";

/**
 * Trains until `steps` or `epochs` are done or the signal comes, then saves.
 *
 * Left: options of nonsense; checkpoints in the folder without `resume`; none that is whole, or of another run, or a newer
 * Weft's, with it;
 * a disk that refuses; loss or gradients that stay not finite (the state before the step is saved under `failed/`).
 */
export async function train(options: TrainOptions): Promise<Checked<TrainResult>> {
  const checked = checkTrainOptions(options);
  if (Either.isLeft(checked)) return checked;
  try {
    makeFolder(options.folder);
    return Either.right(await new Run(options).train());
  } catch (error) {
    if (error instanceof WeftError) return Either.left(error.problems);
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    return refuse(options.folder, "must be writable", {
      given: messageOf(error),
      remedy: "check the path, its permissions and the free space",
    });
  }
}

function orThrow<A>(checked: Checked<A>): A {
  if (Either.isLeft(checked)) throw new WeftError(checked.left);
  return checked.right;
}

class Run {
  readonly #options: TrainOptions;
  #identity: RunIdentity;
  readonly #memory = new MemoryPhases();
  readonly #began = performance.now();
  #state: TrainerState;
  /** The step of the newest checkpoint, and when it was saved. */
  #saved = { step: -1, time: performance.now() };
  #skippedInRow = 0;

  constructor(options: TrainOptions) {
    const { model, schedule, seed, accumulate = 1, data } = options;
    this.#options = options;
    this.#identity = {
      model: model.model,
      optimizer: model.optimizer,
      schedule,
      seed,
      accumulate,
      data: data.identity,
    };
    this.#state = { step: 0, targets: 0, skippedSteps: 0, data: dataStart, seed };
  }

  async train(): Promise<TrainResult> {
    const {
      folder,
      data,
      steps,
      epochs = Number.POSITIVE_INFINITY,
      signal,
      evaluation,
      samples,
      onEvent,
    } = this.#options;
    this.#memory.record("start");
    const frozen = await this.#options.model.frozen?.();
    if (frozen !== undefined) this.#identity = { ...this.#identity, frozen };
    await this.#resume();
    orThrow(data.seek(this.#state.data));
    const metrics = orThrow(MetricsFile.open(join(folder, "metrics.jsonl"), this.#state.step));
    let loss: number | undefined;
    let evaluationLoss: number | undefined;
    const more = () => this.#state.step < steps && data.epochs < epochs;
    while (more() && signal?.aborted !== true) {
      const line = await this.#step();
      loss = line.loss ?? undefined;
      const due = evaluation !== undefined && (line.step % evaluation.every === 0 || !more());
      if (due) {
        evaluationLoss = await evaluationLossOf(this.#options.model, evaluation.data, evaluation.batches);
        this.#memory.record("evaluation");
      }
      const sampled = samples !== undefined && (line.step % samples.every === 0 || !more());
      const written = {
        ...line,
        ...(due ? { evaluationLoss: finite(evaluationLoss!) } : {}),
        ...(sampled ? { sample: await samples.take() } : {}),
      };
      orThrow(metrics.append(written));
      onEvent?.({ kind: "step", metrics: written, steps });
      if (this.#checkpointIsDue()) await this.#save();
    }
    if (this.#saved.step !== this.#state.step) await this.#save();
    orThrow(await writeCurves(join(folder, "curves.svg"), metrics.all));
    this.#memory.write(join(folder, "memory.json"), this.#options.model.memory());
    const { step, targets, skippedSteps } = this.#state;
    return {
      step,
      targets,
      skippedSteps,
      epochs: data.epochs,
      loss,
      evaluationLoss,
      stopped: more() ? "interrupted" : "finished",
      checkpoint: join(folder, "checkpoints", checkpointName(step)),
    };
  }

  async #step(): Promise<StepMetrics> {
    const { model, data, seed, accumulate = 1, learningRate } = this.#options;
    const step = this.#state.step + 1;
    const rate = learningRate(step);
    const before = this.#state;
    const batches = Array.from({ length: accumulate }, () => data.next());
    const started = performance.now();
    const result = await model.step(batches, { learningRate: rate, step, seed });
    const seconds = (performance.now() - started) / 1000;
    const residentBytes = this.#memory.record("step");
    if (result.skipped) await this.#checkSkipped(step, result, before);
    else this.#skippedInRow = 0;
    this.#state = {
      step,
      targets: before.targets + result.targets,
      skippedSteps: before.skippedSteps + (result.skipped ? 1 : 0),
      data: data.position,
      seed,
    };
    const tokens = batches.reduce((sum, batch) => sum + batch.tokens.length, 0);
    return {
      step,
      epoch: data.epochs,
      loss: finite(result.loss),
      learningRate: rate,
      gradientNorm: finite(result.gradientNorm),
      targets: result.targets,
      tokensPerSecond: Math.round(tokens / Math.max(seconds, 1e-9)),
      residentBytes,
      seconds: Math.round(performance.now() - this.#began) / 1000,
      ...(result.skipped ? { skipped: true as const } : {}),
    };
  }

  /** A few steps may overflow and are left out; weights that are not finite never recover. */
  async #checkSkipped(step: number, result: StepResult, before: TrainerState): Promise<void> {
    const { model, folder, mostSkipped = 3 } = this.#options;
    this.#skippedInRow++;
    const parameter = this.#skippedInRow === 1 ? await nonFiniteParameter(model) : undefined;
    if (parameter === undefined && this.#skippedInRow <= mostSkipped) return;
    const name = checkpointName(before.step);
    // Not among the checkpoints: the run should be resumed from a sound one.
    const saved = await this.#write(join(folder, "failed"), name, before);
    const isKnown = parameter !== undefined || result.nonFinite !== undefined;
    const largest = isKnown ? undefined : await largestParameter(model);
    const problem = nonFiniteProblem(step, result, { parameter, largest, inRow: this.#skippedInRow, saved });
    throw new WeftError([problem]);
  }

  #checkpointIsDue(): boolean {
    const { everySteps, everyMinutes } = this.#options.checkpoints ?? {};
    return (
      (everySteps !== undefined && this.#state.step % everySteps === 0) ||
      (everyMinutes !== undefined && performance.now() - this.#saved.time >= everyMinutes * 60_000)
    );
  }

  async #save(): Promise<void> {
    const { folder, checkpoints, onEvent } = this.#options;
    const { step } = this.#state;
    const keep = checkpoints?.keep ?? 3;
    const directory = await this.#write(join(folder, "checkpoints"), checkpointName(step), this.#state, keep);
    this.#saved = { step, time: performance.now() };
    this.#memory.record("checkpoint");
    onEvent?.({ kind: "checkpoint", directory, step });
  }

  async #write(folder: string, name: string, state: TrainerState, keep?: number): Promise<string> {
    const { model, checkpoints } = this.#options;
    const saved = await saveCheckpoint({
      folder,
      name,
      model,
      state,
      identity: this.#identity,
      ...(checkpoints?.copy === undefined ? {} : { copy: checkpoints.copy }),
      ...(keep === undefined ? {} : { keep }),
    });
    return orThrow(saved);
  }

  async #resume(): Promise<void> {
    const { folder, resume = false, onEvent, model } = this.#options;
    const checkpoints = join(folder, "checkpoints");
    const { found, refused } = await latestCheckpoint(checkpoints);
    if (!resume) {
      if (found === undefined && refused.length === 0) return;
      orThrow(
        refuse(checkpoints, "must be empty for a new run", {
          given: found === undefined ? refused[0]!.directory : found.directory,
          remedy: "resume, or choose another folder",
        }),
      );
    }
    const newer = refused.find(({ directory }) => isOfNewerVersion(directory));
    if (newer !== undefined) throw new WeftError(newer.problems);
    for (const one of refused) onEvent?.({ kind: "damaged", ...one });
    if (found === undefined) {
      orThrow(allDamaged(refused.map(({ problems }) => problems)));
      return;
    }
    this.#state = orThrow(await restoreCheckpoint(found, model, this.#identity));
    this.#saved = { step: this.#state.step, time: performance.now() };
    this.#memory.record("resume");
    onEvent?.({ kind: "resumed", directory: found.directory, step: this.#state.step });
  }
}

/** A run that was killed before its first checkpoint has none and begins anew; damaged ones are for a person to see. */
function allDamaged(refused: readonly Problems[]): Checked<void> {
  const problems: Problem[] = refused.flat();
  return unlessProblems(problems, () => undefined);
}

/** The mean over all held-out targets, each with the same weight. */
export async function evaluationLossOf(model: Trainable, data: BatchStream, most?: number): Promise<number> {
  let [sum, targets, batches] = [0, 0, 0];
  for (const batch of data.once()) {
    if (most !== undefined && batches++ >= most) break;
    const result = await model.loss(batch);
    sum += result.loss * result.targets;
    targets += result.targets;
  }
  return targets === 0 ? 0 : sum / targets;
}
