/**
 * Weights that change while contexts live: those of a model under training. Reading and changing take turns, so that all
 * rows of a cache, and the logits behind them, are of the same weights.
 */
export class ChangingWeights {
  #version = 0;
  /** What must be done before anything reads the weights again. */
  #settle: (() => Promise<void>) | undefined;
  /** Settles when all turns so far are done. */
  #turn: Promise<unknown> = Promise.resolve();

  /** Raised by every change: rows that were computed under another version are not these weights'. */
  get version(): number {
    return this.#version;
  }

  /** The weights stay as they are while `work` goes on. It must not wait for a change. */
  read<A>(work: () => Promise<A>): Promise<A> {
    return this.#next(async () => {
      await this.#settle?.();
      this.#settle = undefined;
      return work();
    });
  }

  /** `work` changes them. */
  change<A>(work: () => Promise<A>): Promise<A> {
    return this.read(() => {
      this.#version++;
      return work();
    });
  }

  /**
   * `work` replaces some of them, and perhaps others follow.
   * @param settle what is derived from the weights is made anew: once, before the next reading or change
   */
  replace<A>(work: () => Promise<A>, settle?: () => Promise<void>): Promise<A> {
    return this.#next(() => {
      this.#version++;
      this.#settle = settle ?? this.#settle;
      return work();
    });
  }

  #next<A>(work: () => Promise<A>): Promise<A> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => {});
    return result;
  }
}
