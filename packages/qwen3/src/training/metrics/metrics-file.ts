/** `metrics.jsonl`: one line for each step, appended as the run goes. */
import { appendFileSync, existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import * as Either from "fp-ts/lib/Either.js";
import { type Checked, messageOf, refuse } from "../../config/problems.ts";

export interface StepMetrics {
  readonly step: number;
  /** Passes over the data so far, with a fraction. */
  readonly epoch: number;
  /** Mean cross entropy of the step's targets, in nats; null where it was not finite, which JSON cannot say. */
  readonly loss: number | null;
  readonly learningRate: number;
  /** Before clipping; null where it was not finite. */
  readonly gradientNorm: number | null;
  /** Targets learnt from in this step. */
  readonly targets: number;
  /** Places of the step's batches, padding included, by the time of the step alone. */
  readonly tokensPerSecond: number;
  /** Resident memory of the process, in bytes. */
  readonly residentBytes: number;
  /** Since the run or its resumption began. */
  readonly seconds: number;
  /** Present where the step was not applied. */
  readonly skipped?: true;
  /** Mean cross entropy of the held-out targets, where it was measured behind this step. */
  readonly evaluationLoss?: number | null;
  /** What the model said behind this step, where it was asked. */
  readonly sample?: string;
}

/** A line that was cut off by a kill is none. */
export function parseMetrics(text: string): StepMetrics[] {
  const metrics: StepMetrics[] = [];
  for (const line of text.split("\n")) {
    try {
      const value = JSON.parse(line) as StepMetrics;
      if (Number.isSafeInteger(value.step)) metrics.push(value);
    } catch {}
  }
  return metrics;
}

export class MetricsFile {
  readonly file: string;
  readonly #metrics: StepMetrics[];

  private constructor(file: string, metrics: StepMetrics[]) {
    this.file = file;
    this.#metrics = metrics;
  }

  /**
   * Opens the file of a run that goes on behind `step`: lines of later steps, which a killed run wrote behind its last
   * checkpoint, will be written again and are taken out. Left: it cannot be read or written.
   */
  static open(file: string, step: number): Checked<MetricsFile> {
    try {
      const kept = existsSync(file)
        ? parseMetrics(readFileSync(file, "utf8")).filter((one) => one.step <= step)
        : [];
      const temporary = `${file}.tmp`;
      writeFileSync(temporary, kept.map((one) => `${JSON.stringify(one)}\n`).join(""));
      renameSync(temporary, file);
      return Either.right(new MetricsFile(file, kept));
    } catch (error) {
      return refuseFile(file, error);
    }
  }

  append(metrics: StepMetrics): Checked<void> {
    this.#metrics.push(metrics);
    try {
      return Either.right(appendFileSync(this.file, `${JSON.stringify(metrics)}\n`));
    } catch (error) {
      return refuseFile(this.file, error);
    }
  }

  get all(): readonly StepMetrics[] {
    return this.#metrics;
  }
}

const refuseFile = (file: string, error: unknown) =>
  refuse(file, "must be writable", {
    given: messageOf(error),
    remedy: "check the free space and permissions",
  });

/** A number as JSON can hold it. */
export const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);
