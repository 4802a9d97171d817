/**
 * Weights that change while contexts live: those of a model under training. Reading and changing take turns, so that all
 * rows of a cache, and the logits behind them, are of the same weights.
 */
export class ChangingWeights {
  #version = 0;
  /** Settles when all turns so far are done. */
  #turn: Promise<unknown> = Promise.resolve();

  /** Raised by every change: rows that were computed under another version are not these weights'. */
  get version(): number {
    return this.#version;
  }

  /** The weights stay as they are while `work` goes on. It must not wait for a change. */
  read<A>(work: () => Promise<A>): Promise<A> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => {});
    return result;
  }

  /** `work` changes them. */
  change<A>(work: () => Promise<A>): Promise<A> {
    return this.read(() => {
      this.#version++;
      return work();
    });
  }
}
