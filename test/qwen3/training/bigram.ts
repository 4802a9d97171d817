/** A model small enough to be checked by eye that really learns: a table of next-token scores, trained by AdamW. */
import type { TrainingBatch } from "../../../packages/qwen3/src/training/batch.ts";
import type {
  StateTensor,
  StepHyper,
  StepResult,
  Trainable,
} from "../../../packages/qwen3/src/training/trainable.ts";

export interface BigramOptions {
  readonly vocab?: number;
  /** Steps whose loss is not finite. */
  readonly nonFiniteSteps?: readonly number[];
  /** The step after which a weight is broken. */
  readonly breakAfter?: number;
  readonly beta2?: number;
}

export class Bigram implements Trainable {
  readonly model;
  readonly optimizer;
  readonly weight: Float32Array;
  readonly #moments: readonly [Float64Array, Float64Array];
  readonly #vocab: number;
  readonly #options: BigramOptions;
  steps = 0;

  constructor(options: BigramOptions = {}) {
    const { vocab = 320, beta2 = 0.99 } = options;
    this.#options = options;
    this.#vocab = vocab;
    this.model = { kind: "bigram", vocab };
    this.optimizer = { kind: "adamw", betas: [0.9, beta2], decay: 0.01 };
    this.weight = Float32Array.from({ length: vocab * vocab }, (_, index) => Math.sin(index) / 10);
    this.#moments = [new Float64Array(vocab * vocab), new Float64Array(vocab * vocab)];
  }

  parameters(): readonly StateTensor[] {
    return [{ name: "bigram.weight", dtype: "F32", shape: [this.#vocab, this.#vocab] }];
  }

  optimizerStates(): readonly StateTensor[] {
    const shape = [this.#vocab, this.#vocab];
    return ["first_moment", "second_moment"].map((name) => ({
      name: `bigram.weight.${name}`,
      dtype: "F64",
      shape,
    }));
  }

  async step(batches: readonly TrainingBatch[], { learningRate, step }: StepHyper): Promise<StepResult> {
    this.steps++;
    const gradient = new Float64Array(this.weight.length);
    const targets = batches.reduce((sum, batch) => sum + batch.targets.filter((one) => one >= 0).length, 0);
    const loss =
      batches.reduce((sum, batch) => sum + this.#backward(batch, gradient), 0) / Math.max(1, targets);
    if (this.#options.nonFiniteSteps?.includes(step) === true || !Number.isFinite(loss)) {
      return {
        loss: Number.NaN,
        gradientNorm: Number.POSITIVE_INFINITY,
        targets,
        skipped: true,
        nonFinite: "bigram.weight",
      };
    }
    let square = 0;
    const [first, second] = this.#moments;
    const [beta1, beta2] = this.optimizer.betas as [number, number];
    for (let index = 0; index < gradient.length; index++) {
      const slope = gradient[index]! / Math.max(1, targets);
      square += slope * slope;
      first[index] = beta1 * first[index]! + (1 - beta1) * slope;
      second[index] = beta2 * second[index]! + (1 - beta2) * slope * slope;
      const direction =
        first[index]! / (1 - beta1 ** step) / (Math.sqrt(second[index]! / (1 - beta2 ** step)) + 1e-8);
      this.weight[index]! -= learningRate * (direction + 0.01 * this.weight[index]!);
    }
    if (this.#options.breakAfter === step) this.weight[48 * this.#vocab + 7] = Number.NaN;
    return { loss, gradientNorm: Math.sqrt(square), targets, skipped: false };
  }

  async loss(batch: TrainingBatch) {
    const targets = batch.targets.filter((one) => one >= 0).length;
    return { targets, loss: this.#backward(batch, undefined) / Math.max(1, targets) };
  }

  /** The summed loss; adds its gradient. */
  #backward({ tokens, targets }: TrainingBatch, gradient: Float64Array | undefined): number {
    let loss = 0;
    const vocab = this.#vocab;
    for (const [place, target] of targets.entries()) {
      if (target < 0) continue;
      const row = tokens[place]! * vocab;
      const scores = this.weight.subarray(row, row + vocab);
      const most = scores.reduce((a, b) => Math.max(a, b));
      const sum = scores.reduce((total, score) => total + Math.exp(score - most), 0);
      loss += Math.log(sum) + most - scores[target]!;
      if (gradient === undefined) continue;
      for (let index = 0; index < vocab; index++)
        gradient[row + index]! += Math.exp(scores[index]! - most) / sum;
      gradient[row + target]! -= 1;
    }
    return loss;
  }

  #array(name: string): Float32Array | Float64Array {
    if (name === "bigram.weight") return this.weight;
    return this.#moments[name.endsWith("first_moment") ? 0 : 1]!;
  }

  async readState(name: string): Promise<Uint8Array> {
    const { buffer } = this.#array(name);
    return new Uint8Array(buffer);
  }

  async writeState(name: string, bytes: Uint8Array): Promise<void> {
    new Uint8Array(this.#array(name).buffer).set(bytes);
  }

  memory() {
    return { parameters: this.weight.byteLength, optimizer: 2 * this.#moments[0].byteLength };
  }
}
