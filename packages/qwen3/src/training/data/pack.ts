/** Documents one behind the other in a sequence of fixed length. */
import type { TrainingBatch } from "../batch.ts";
import { ignoredTarget } from "./targets.ts";

export class SequencePacker {
  readonly length: number;
  readonly #tokens: Int32Array;
  readonly #targets: Int32Array;
  readonly #positions: Int32Array;
  readonly #starts: Int32Array;
  #used = 0;

  /** @param length tokens of the sequence */
  constructor(length: number) {
    this.length = length;
    this.#tokens = new Int32Array(length);
    this.#targets = new Int32Array(length).fill(ignoredTarget);
    this.#positions = new Int32Array(length);
    this.#starts = new Int32Array(length);
  }

  get left(): number {
    return this.length - this.#used;
  }

  get used(): number {
    return this.#used;
  }

  /** Appends a document that fits; positions count from 0 in it. */
  add(tokens: Int32Array, targets: Int32Array): void {
    const start = this.#used;
    this.#tokens.set(tokens, start);
    this.#targets.set(targets, start);
    this.#frame(tokens.length);
  }

  /** The batch; what is left is one document of padding that nobody sees and that is not learnt. */
  finish(): TrainingBatch {
    this.#frame(this.left);
    return {
      tokens: this.#tokens,
      targets: this.#targets,
      positions: this.#positions,
      starts: this.#starts,
    };
  }

  #frame(count: number): void {
    const start = this.#used;
    for (let place = 0; place < count; place++) {
      this.#positions[start + place] = place;
      this.#starts[start + place] = start;
    }
    this.#used += count;
  }
}
