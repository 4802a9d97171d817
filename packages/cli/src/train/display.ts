/** How a run is followed: a bar where a person looks, plain lines elsewhere; always on stderr. */
import { formatBytes } from "@weft/compiler";
import { formatProblems } from "@weft/dsl";
import type { TrainEvent } from "@weft/qwen3";
import { Presets, SingleBar } from "cli-progress";
import { remark } from "../terminal/output.ts";

type Metrics = Extract<TrainEvent, { kind: "step" }>["metrics"];

/** Milliseconds between two plain lines that tell nothing new. */
const patience = 5000;

export class TrainDisplay {
  readonly #memory: number;
  readonly #visible = process.stderr.isTTY === true;
  #bar: SingleBar | undefined;
  #printed = Number.NEGATIVE_INFINITY;
  /** The first step of this process: time left is told by those since. */
  #first: number | undefined;

  /** @param memory bytes that the plan takes */
  constructor(memory: number) {
    this.#memory = memory;
  }

  show(event: TrainEvent): void {
    if (event.kind === "damaged")
      this.#say(`${event.directory} is damaged and passed over:\n${formatProblems(event.problems)}`);
    else if (event.kind === "resumed")
      this.#say(`goes on behind step ${event.step}, from ${event.directory}`);
    else if (event.kind === "step") this.#step(event.metrics, event.steps);
  }

  /** Takes the bar off the screen. */
  clear(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }

  #say(text: string): void {
    this.clear();
    remark(text);
  }

  #step(metrics: Metrics, steps: number): void {
    this.#first ??= metrics.step;
    const left = secondsLeft(metrics, steps, this.#first);
    const text = stepText(metrics, this.#memory, left);
    if (this.#visible) {
      if (this.#bar === undefined) {
        const format = "{bar} {value}/{total} {text}";
        this.#bar = new SingleBar(
          { format, stream: process.stderr, clearOnComplete: true, hideCursor: true, barsize: 20 },
          Presets.shades_classic,
        );
        this.#bar.start(steps, metrics.step, { text });
      } else this.#bar.update(metrics.step, { text });
    } else if (this.#isDue(metrics, steps)) {
      this.#printed = performance.now();
      remark(`step ${metrics.step}/${steps}, ${text}`);
    }
    if (metrics.sample !== undefined) this.#say(`step ${metrics.step} says: ${sampleText(metrics.sample)}`);
  }

  #isDue({ step, evaluationLoss }: Metrics, steps: number): boolean {
    return performance.now() - this.#printed >= patience || step === steps || evaluationLoss !== undefined;
  }
}

/** One line whatever the model says: line breaks and control characters are shown as JSON writes them. */
export const sampleText = (sample: string): string => JSON.stringify(sample);

/** By the mean of the steps so far. */
export function secondsLeft({ step, seconds }: Metrics, steps: number, first: number): number {
  return (seconds / (step - first + 1)) * (steps - step);
}

export function stepText(metrics: Metrics, memory: number, left: number): string {
  const { loss, learningRate, gradientNorm, tokensPerSecond, evaluationLoss, skipped } = metrics;
  const number = (value: number | null) => (value === null ? "not finite" : value.toFixed(4));
  const parts = [
    `loss ${number(loss)}`,
    evaluationLoss === undefined ? undefined : `held out ${number(evaluationLoss)}`,
    `lr ${learningRate.toExponential(2)}`,
    `norm ${number(gradientNorm)}`,
    `${tokensPerSecond} tokens/s`,
    formatBytes(memory),
    `${durationText(left)} left`,
    skipped === true ? "skipped" : undefined,
  ];
  return parts.filter((part) => part !== undefined).join(", ");
}

export function durationText(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  return minutes < 60
    ? `${minutes} min ${whole % 60} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
