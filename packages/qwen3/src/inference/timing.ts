/** Where the time of a generation goes. Time that the reader takes between two tokens is nobody's here. */

export interface GenerationTiming {
  /** From the first read to the first token. */
  readonly firstTokenMilliseconds: number;
  /** Running the prompt. */
  readonly prefillMilliseconds: number;
  /** Picking tokens and running all but the last of them. */
  readonly decodeMilliseconds: number;
  /** Undefined where nothing was run. */
  readonly prefillTokensPerSecond: number | undefined;
  /** Tokens after the first, by the time they took. */
  readonly decodeTokensPerSecond: number | undefined;
}

export class Stopwatch {
  readonly #started = performance.now();
  #firstToken = 0;
  #prefill = 0;
  #decode = 0;

  /** Adds the time of a piece of work, also of one that fails. */
  async measure<A>(phase: "prefill" | "decode", work: () => Promise<A>): Promise<A> {
    const started = performance.now();
    try {
      return await work();
    } finally {
      this.#add(phase, performance.now() - started);
    }
  }

  measureNow<A>(phase: "prefill" | "decode", work: () => A): A {
    const started = performance.now();
    const result = work();
    this.#add(phase, performance.now() - started);
    return result;
  }

  /** A token was picked; the first one counts. */
  token(): void {
    if (this.#firstToken === 0) this.#firstToken = performance.now() - this.#started;
  }

  /** @param decoded tokens that were run one by one */
  timing(prefilled: number, decoded: number): GenerationTiming {
    return {
      firstTokenMilliseconds: this.#firstToken,
      prefillMilliseconds: this.#prefill,
      decodeMilliseconds: this.#decode,
      prefillTokensPerSecond: rate(prefilled, this.#prefill),
      decodeTokensPerSecond: rate(decoded, this.#decode),
    };
  }

  #add(phase: "prefill" | "decode", milliseconds: number): void {
    if (phase === "prefill") this.#prefill += milliseconds;
    else this.#decode += milliseconds;
  }
}

const rate = (count: number, milliseconds: number): number | undefined =>
  count === 0 || milliseconds === 0 ? undefined : (count * 1000) / milliseconds;
