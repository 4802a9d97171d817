/**
 * The tokens that a model has seen, with their keys and values in its cache. The invariant, checked at every step:
 * the cache holds exactly `tokens`, one position for each.
 */
import { candidatesOutput } from "@weft/compiler";
import { internalProblem, type Problem, showGiven, userProblem, WeftError } from "../config/problems.ts";
import { checkTokenIds } from "../text/token-ids.ts";
import type { Engine, Resident } from "./engine.ts";
import type { PackedState } from "./state-layout.ts";
import { type AheadOptions, StepsAhead } from "./steps-ahead.ts";

export interface AppendOptions {
  /** False: the logits of the last token are not needed and not copied. Default true. */
  readonly wantLogits?: boolean | undefined;
  /** The output that is given in place of the logits: one row for the last token. Default `logits`. */
  readonly output?: string | undefined;
  /**
   * For one token, with the output `candidates`, on a device that draws tokens: the steps behind it are begun before it
   * is done, with the tokens that the device draws. The next call finds its step begun if it is given that token.
   */
  readonly ahead?: AheadOptions | undefined;
  /** Ends the work between two steps; the tokens of finished steps stay in the cache. Throws the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Told after each step how many of the tokens are done. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** What one step computed: views that the next step overwrites. */
export interface StepOutputs {
  /** Index in the cache of the step's first token. */
  readonly past: number;
  readonly count: number;
  /** By output name: `[count, width]`, or `[1, width]` of the last position. */
  readonly outputs: Readonly<Record<string, Float32Array>>;
}

/** A context outside of any model: what `save` gives and `restore` takes. */
export interface ContextSnapshot {
  readonly tokens: readonly number[];
  readonly dropped: number;
  readonly state: PackedState;
  /** Which weights the rows are of, of a model under training; see `ContextCache.isStale`. */
  readonly weights?: number;
}

/**
 * A context of one model. Several of them may live on a model; their steps run one after the other, and changing
 * between them copies the rows of the cache (see `Engine`).
 */
export class ContextCache {
  readonly capacity: number;
  readonly #engine: Engine;
  readonly #vocabSize: number;
  #tokens: number[] = [];
  /** Positions that the steps so far have written; says the same as `#tokens.length`, by another way. */
  #cached = 0;
  #dropped = 0;
  /** Which weights the cached rows are of. */
  #weights = 0;
  #outside: { readonly packed: PackedState; readonly stored: number } | undefined;
  #buffers: ReadonlyMap<string, Float32Array> | undefined;
  #busy = false;
  #disposed = false;
  readonly #input: Int32Array;
  readonly #resident: Resident;
  readonly #ahead: StepsAhead;

  /** Made by `Qwen3.createContext`. */
  constructor(engine: Engine, vocabSize: number) {
    this.#engine = engine;
    this.#vocabSize = vocabSize;
    this.capacity = engine.capacity;
    this.#input = new Int32Array(engine.chunk);
    const length = () => this.#cached;
    this.#resident = {
      get length() {
        return length();
      },
      moveOut: (packed) => {
        this.#ahead.forget();
        this.#outside = { packed, stored: this.#cached };
      },
      moveIn: () => {
        const outside = this.#outside;
        this.#outside = undefined;
        return outside;
      },
    };
    this.#ahead = new StepsAhead(engine, this.#resident);
  }

  /** Tokens in the cache. */
  get length(): number {
    return this.#tokens.length;
  }

  /** The tokens in the cache, oldest first. */
  get tokens(): readonly number[] {
    return this.#tokens;
  }

  /** How many oldest tokens were dropped: the absolute position of `tokens[i]` is `dropped + i`. */
  get dropped(): number {
    return this.#dropped;
  }

  /**
   * Whether the model's weights have changed since the rows were computed, as they do under training. Nothing reads such
   * rows: `append` and `run` compute them again first, and generations and sessions run the whole text again.
   */
  get isStale(): boolean {
    return this.#cached > 0 && this.#weights !== this.#engine.weightsVersion;
  }

  /** Of the likeliest tokens, how many the output `candidates` holds for each row; 0 where there is none. */
  get candidates(): number {
    const output = this.#engine.outputs.find(({ name }) => name === candidatesOutput);
    return output === undefined ? 0 : output.width / 2;
  }

  /**
   * Runs tokens on top of what is cached, in chunks, and gives the logits `[vocab]` of the last one: a view that the
   * next `append` of this context overwrites.
   * @throws WeftError for a foreign token id, for more tokens than the capacity has room for (nothing is run then),
   * and for what the device reports. The tokens of finished steps stay; those of the failed one do not.
   */
  append(
    tokens: readonly number[],
    options?: AppendOptions & { readonly wantLogits?: true | undefined },
  ): Promise<Float32Array>;
  append(tokens: readonly number[], options: AppendOptions): Promise<Float32Array | undefined>;
  async append(tokens: readonly number[], options: AppendOptions = {}): Promise<Float32Array | undefined> {
    const { wantLogits = true, output = "logits", ahead } = options;
    if (ahead !== undefined && tokens.length === 1 && output === candidatesOutput && this.#engine.drawsTokens)
      return this.#appendAhead(tokens[0]!, ahead, options);
    let row: Float32Array | undefined;
    await this.run(tokens, this.#engine.chunk, wantLogits ? [output] : [], options, ({ outputs }) => {
      const values = outputs[output];
      row = values?.subarray(values.length - this.#widthOf(output));
    });
    return row;
  }

  /**
   * Like `append`, in steps of at most `chunk` tokens, giving the named outputs of every step to `onStep`.
   * @throws WeftError as `append` does.
   */
  async run(
    tokens: readonly number[],
    chunk: number,
    wanted: readonly string[],
    { signal, onProgress }: AppendOptions,
    onStep: (step: StepOutputs) => void,
  ): Promise<void> {
    this.#checkTokens(tokens);
    await this.#underSameWeights(async () => {
      this.#ahead.forget();
      for (let done = 0; done < tokens.length; ) {
        signal?.throwIfAborted();
        const count = Math.min(chunk, this.#engine.chunk, tokens.length - done);
        const past = this.#cached;
        const input = this.#input.subarray(0, count);
        for (let i = 0; i < count; i++) input[i] = tokens[done + i]!;
        const outputs = this.#outputsFor(wanted, count);
        await this.#engine.step(this.#resident, { tokens: input, past, dropped: this.#dropped, outputs });
        // Its rows went with a dispose in the meantime: what was computed since belongs to no text.
        this.#checkOpen();
        for (let i = 0; i < count; i++) this.#tokens.push(input[i]!);
        this.#cached += count;
        done += count;
        this.#check();
        onStep({ past, count, outputs });
        onProgress?.(done, tokens.length);
      }
    });
  }

  async #appendAhead(
    token: number,
    ahead: AheadOptions,
    { signal, onProgress }: AppendOptions,
  ): Promise<Float32Array> {
    this.#checkTokens([token]);
    return this.#underSameWeights(async () => {
      signal?.throwIfAborted();
      const place = { past: this.#cached, dropped: this.#dropped };
      const candidates = await this.#ahead.step(token, place, ahead, () => {
        this.#checkOpen();
        this.#tokens.push(token);
        this.#cached++;
      });
      this.#check();
      onProgress?.(1, 1);
      return candidates;
    });
  }

  /** Forgets all but the first `length` tokens. Costs nothing: what lies behind is never read. */
  truncate(length: number): void {
    this.#idle();
    if (!Number.isInteger(length) || length < 0 || length > this.length) {
      throw new WeftError([
        userProblem("context", `must be cut to 0 to ${this.length} tokens, what it holds`, {
          given: showGiven(length),
        }),
      ]);
    }
    if (length < this.length) this.#ahead.forget();
    this.#tokens.length = length;
    this.#cached = length;
  }

  /**
   * Forgets the oldest tokens. Those that stay keep their absolute positions. Costs a move of the whole cache, so
   * drop many at a time.
   */
  async dropOldest(count: number): Promise<void> {
    if (!Number.isInteger(count) || count < 0 || count > this.length) {
      throw new WeftError([
        userProblem("context", `0 to ${this.length} tokens can be dropped, what it holds`, {
          given: showGiven(count),
        }),
      ]);
    }
    if (count === 0) return;
    if (count === this.length) return this.reset(this.#dropped + count);
    this.#checkPosition(this.#dropped + count);
    await this.#exclusively(async () => {
      this.#ahead.forget();
      await this.#engine.shiftRows(this.#resident, count);
      this.#tokens.splice(0, count);
      this.#cached -= count;
      this.#dropped += count;
      this.#check();
    });
  }

  /** Forgets everything. The next token gets the absolute position `dropped`. */
  reset(dropped = 0): void {
    this.#idle();
    this.#checkPosition(dropped);
    this.#ahead.forget();
    this.#tokens = [];
    this.#cached = 0;
    this.#dropped = dropped;
    this.#outside = undefined;
  }

  /** A copy of the tokens and their rows of the cache. */
  async save(): Promise<ContextSnapshot> {
    return this.#exclusively(async () => ({
      tokens: [...this.#tokens],
      dropped: this.#dropped,
      weights: this.#weights,
      state: this.#cached === 0 ? new Map() : await this.#engine.rowsOf(this.#resident),
    }));
  }

  /**
   * Becomes what was saved, of this or of another context of the same model (its capacity may differ).
   * @throws WeftError when it does not fit; this context stays as it was then.
   */
  restore({ tokens, dropped, state, weights = this.#engine.weightsVersion }: ContextSnapshot): void {
    this.#idle();
    const problems: Problem[] = [];
    if (tokens.length > this.capacity) problems.push(this.#tooLong(tokens.length));
    for (const { name, outer, rowBytes } of tokens.length === 0 ? [] : this.#engine.states) {
      const given = state.get(name)?.length;
      const expected = outer * rowBytes * tokens.length;
      if (given === expected) continue;
      problems.push(
        userProblem("context", `a saved context must hold ${expected} bytes for ${tokens.length} tokens`, {
          given: given === undefined ? "none" : `${given} bytes`,
          path: name,
          remedy: "restore it into the model and the dtype that it was saved from",
        }),
      );
    }
    raise(problems);
    if (tokens.length > 0) this.#checkIds(tokens);
    this.#checkPosition(dropped);
    this.#engine.forget(this.#resident);
    this.#ahead.forget();
    this.#tokens = [...tokens];
    this.#cached = tokens.length;
    this.#dropped = dropped;
    this.#weights = weights;
    this.#outside = tokens.length === 0 ? undefined : { packed: state, stored: tokens.length };
  }

  /** Lets go of the memory. The context is empty afterwards and runs nothing more; work on it ends with an error. */
  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#ahead.forget();
    this.#tokens = [];
    this.#cached = 0;
    this.#outside = undefined;
    this.#buffers = undefined;
    this.#engine.forget(this.#resident);
  }

  #checkTokens(tokens: readonly number[]): void {
    this.#checkIds(tokens);
    if (this.length + tokens.length > this.capacity) {
      throw new WeftError([this.#tooLong(this.length + tokens.length)]);
    }
  }

  #checkIds(tokens: readonly number[]): void {
    const checked = checkTokenIds(tokens, this.#vocabSize, "tokens");
    if (checked._tag === "Left") throw new WeftError(checked.left);
  }

  #checkPosition(dropped: number): void {
    if (Number.isInteger(dropped) && dropped >= 0 && dropped <= this.#engine.droppedLimit) return;
    throw new WeftError([
      userProblem("context", `at most ${this.#engine.droppedLimit} tokens can have been dropped`, {
        given: showGiven(dropped),
        remedy: "begin a new context",
      }),
    ]);
  }

  #tooLong(length: number): Problem {
    return contextTooLong(length, this.capacity);
  }

  #widthOf(name: string): number {
    return this.#engine.outputs.find((one) => one.name === name)!.width;
  }

  /** Views of buffers that live as long as the context, so that a step allocates nothing large. */
  #outputsFor(wanted: readonly string[], count: number): Record<string, Float32Array> {
    const buffers = new Map(this.#buffers);
    const views: Record<string, Float32Array> = {};
    for (const name of wanted) {
      const output = this.#engine.outputs.find((one) => one.name === name)!;
      const rows = output.everyPosition ? count : 1;
      let buffer = buffers.get(name);
      if (buffer === undefined || buffer.length < rows * output.width) {
        buffer = new Float32Array(rows * output.width);
        buffers.set(name, buffer);
        this.#buffers = buffers;
      }
      views[name] = buffer.subarray(0, rows * output.width);
    }
    return views;
  }

  #check(): void {
    if (this.#cached === this.#tokens.length && this.#cached <= this.capacity) return;
    throw new WeftError([
      internalProblem("context", "the cache must hold as many positions as the context has tokens", {
        given: `${this.#cached} positions, ${this.#tokens.length} tokens`,
      }),
    ]);
  }

  #checkOpen(): void {
    if (!this.#disposed) return;
    throw new WeftError([
      userProblem("context", "must not be used after it was disposed", {
        remedy: "dispose it when nothing runs on it any more",
      }),
    ]);
  }

  #idle(): void {
    this.#checkOpen();
    if (!this.#busy) return;
    throw new WeftError([
      userProblem("context", "must not be used while it is at work", {
        remedy: "await the former call first, or use a context of its own for each conversation",
      }),
    ]);
  }

  /** Work on rows that are all of the present weights: where they are not, they are computed again. */
  #underSameWeights<A>(work: () => Promise<A>): Promise<A> {
    return this.#exclusively(() =>
      this.#engine.underSameWeights(async () => {
        if (this.isStale) await this.#recompute();
        this.#weights = this.#engine.weightsVersion;
        return work();
      }),
    );
  }

  /** Should it fail in between, the rows count as those of the former weights still. */
  async #recompute(): Promise<void> {
    this.#ahead.forget();
    const tokens = Int32Array.from(this.#tokens);
    for (let past = 0; past < tokens.length; past += this.#engine.chunk) {
      const chunk = tokens.subarray(past, past + this.#engine.chunk);
      await this.#engine.step(this.#resident, { tokens: chunk, past, dropped: this.#dropped, outputs: {} });
      this.#checkOpen();
    }
  }

  async #exclusively<A>(work: () => Promise<A>): Promise<A> {
    this.#idle();
    this.#busy = true;
    try {
      return await work();
    } finally {
      this.#busy = false;
    }
  }
}

/** The problem of a context that outgrows its capacity. */
export function contextTooLong(length: number, capacity: number, remedy?: string): Problem {
  return userProblem("context", `must fit into the capacity of ${capacity} tokens`, {
    given: `${length} tokens`,
    remedy: remedy ?? "open the model with a larger capacity, or give less text",
  });
}

function raise(problems: readonly Problem[]): void {
  const [first, ...rest] = problems;
  if (first !== undefined) throw new WeftError([first, ...rest]);
}
