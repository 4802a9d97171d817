/**
 * One executable that several contexts take turns on. The cache of one context is in the device's memory; when
 * another one's turn comes, its rows are copied out and the other's are copied in. Steps of all contexts are run one
 * after the other, so that callers need not know of each other.
 */
import { drawFields, drawInput, type Plan } from "@weft/compiler";
import type { Executable, InputArray } from "@weft/runtime";
import { internalProblem, userProblem, WeftError } from "../config/problems.ts";
import type { ChangingWeights } from "./changing-weights.ts";
import {
  type PackedState,
  packState,
  type StateTensor,
  stateTensorsOf,
  unpackState,
} from "./state-layout.ts";

/** Something whose rows may be in the device's memory. */
export interface Resident {
  readonly length: number;
  /** Takes the rows that were copied out of the device. */
  moveOut(packed: PackedState): void;
  /** Gives the rows to copy in; undefined where there are none. `stored` is how many positions they hold. */
  moveIn(): { readonly packed: PackedState; readonly stored: number } | undefined;
}

/** An output of the plan: `rows` times `width` values, one row per position that it was asked for. */
export interface OutputShape {
  readonly name: string;
  readonly width: number;
  /** One row for every position of the step, or one for the last position only. */
  readonly everyPosition: boolean;
}

export interface Step {
  /** On an engine that draws, `asDrawn` alone is the token that the step before has drawn. */
  readonly tokens: Int32Array;
  readonly past: number;
  readonly dropped: number;
  readonly outputs: Readonly<Record<string, Float32Array | Int32Array>>;
  /** How the device draws the token that follows, as `Sampler.deviceDraw` gives it. Default: the likeliest one. */
  readonly draw?: Float32Array | undefined;
}

/** In place of a token: the one that the step before has drawn. */
export const asDrawn = -1;
const isAsDrawn = (tokens: Int32Array) => tokens[0] === asDrawn;

const nothing = () => {};

/** A value of the input `draw` with which the device draws the likeliest token. */
export const drawLikeliest = new Float32Array(drawFields.length);
drawLikeliest[drawFields.indexOf("count")] = 1;
drawLikeliest[drawFields.indexOf("nucleus")] = 1;

export class Engine {
  readonly chunk: number;
  readonly capacity: number;
  /** The most tokens that may have been dropped from the front of a context. */
  readonly droppedLimit: number;
  readonly states: readonly StateTensor[];
  readonly outputs: readonly OutputShape[];
  /** Whether the device draws a token in each step. */
  readonly drawsTokens: boolean;
  readonly #executable: Executable;
  readonly #weights: ChangingWeights | undefined;
  /** Of the other programs of the plan: a run names them all. */
  readonly #otherSymbols: Readonly<Record<string, number>>;
  #resident: Resident | undefined;
  /** Settles when all work so far is done. */
  #turn: Promise<void> = Promise.resolve();
  /** Whose work the latest is. */
  #latest: Resident | undefined;
  /** Settles when the latest work was handed to the device, or is done. */
  #handed: Promise<unknown> = Promise.resolve();
  #works = 0;
  #disposed = false;

  /** @param weights of a model under training; left out, they stay as they are. */
  constructor(
    executable: Executable,
    plan: Plan,
    { chunk, capacity }: { chunk: number; capacity: number },
    weights?: ChangingWeights,
  ) {
    this.#executable = executable;
    this.#weights = weights;
    this.#otherSymbols = Object.fromEntries(
      plan.symbols.flatMap(({ name, sum }) => (sum.length > 0 ? [] : [[name, 0]])),
    );
    this.chunk = chunk;
    this.capacity = capacity;
    this.states = stateTensorsOf(plan);
    const programs = plan.programs.filter(({ name }) => name === "prefill" || name === "decode");
    this.outputs = outputsOf(programs);
    this.drawsTokens = programs.every(({ inputs }) => inputs.some(({ name }) => name === drawInput));
    this.droppedLimit = plan.symbols.find(({ name }) => name === "dropped")?.max ?? 0;
  }

  /** Which weights are on the device: raised whenever they change. */
  get weightsVersion(): number {
    return this.#weights?.version ?? 0;
  }

  /** The weights stay as they are while `work` goes on. */
  underSameWeights<A>(work: () => Promise<A>): Promise<A> {
    return this.#weights === undefined ? work() : this.#weights.read(work);
  }

  /** How many steps the device takes without waiting for the host. */
  get runsAhead(): number {
    return this.#executable.runsAhead;
  }

  /** Whether the device's memory has the rows of `owner`. */
  holds(owner: Resident): boolean {
    return this.#resident === owner;
  }

  /** Whether the latest work is another one's: it and `owner` take turns. */
  isSharedBy(owner: Resident): boolean {
    return this.#latest !== undefined && this.#latest !== owner;
  }

  /** Counts what was asked for, so that an owner can tell whether anything came behind its latest step. */
  get works(): number {
    return this.#works;
  }

  /**
   * Runs one step of at most `chunk` tokens on the cache of `owner`, and fills `outputs`. A step behind one of the same
   * owner is handed to the device before that one is done.
   */
  step(owner: Resident, { tokens, past, dropped, outputs, draw = drawLikeliest }: Step): Promise<void> {
    const before = this.#latest === owner ? this.#handed : this.#turn;
    let handed = () => {};
    const handing = new Promise<void>((resolve) => {
      handed = resolve;
    });
    const done = this.#after(owner, before, async () => {
      await this.#activate(owner, isAsDrawn(tokens));
      const program = tokens.length === 1 ? "decode" : "prefill";
      const symbols = { ...this.#otherSymbols, seq: tokens.length, past, dropped };
      const inputs: Record<string, InputArray> = { tokens };
      if (this.drawsTokens) inputs[drawInput] = draw;
      const run = this.#executable.run(program, { symbols, inputs, outputs });
      handed();
      await run;
    });
    // Whoever waits for it to be handed over does not wait for ever where it never was.
    done.then(handed, handed);
    this.#handed = handing;
    return done;
  }

  /** Shifts the cached rows of `owner` by `count` positions to the front, over its oldest ones. */
  shiftRows(owner: Resident, count: number): Promise<void> {
    return this.#after(owner, this.#turn, async () => {
      await this.#activate(owner);
      await this.#executable.shiftState(count);
    });
  }

  /** A copy of the rows of `owner`, wherever they are. */
  rowsOf(owner: Resident): Promise<PackedState> {
    return this.#after(owner, this.#turn, async () => {
      await this.#activate(owner);
      return packState(this.states, await this.#executable.saveState(), owner.length);
    });
  }

  /** What `owner` has in the device's memory is not wanted any more. */
  forget(owner: Resident): void {
    if (this.#resident === owner) this.#resident = undefined;
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#executable[Symbol.dispose]();
  }

  /** `inPlace`: what comes needs what the owner's step before it has left, so that its rows must be there already. */
  async #activate(owner: Resident, inPlace = false): Promise<void> {
    if (this.#resident === owner) return;
    if (inPlace) {
      throw new WeftError([
        internalProblem(
          "inference",
          "a step with the token drawn last must follow a step of the same context",
          {
            given: "a step that failed, or whose context was changed since",
          },
        ),
      ]);
    }
    const before = this.#resident;
    let arena: Uint8Array | undefined;
    if (before !== undefined && before.length > 0) {
      arena = await this.#executable.saveState();
      before.moveOut(packState(this.states, arena, before.length));
    }
    this.#resident = undefined;
    const rows = owner.moveIn();
    if (rows !== undefined) {
      arena ??= await this.#executable.saveState();
      unpackState(this.states, rows.packed, rows.stored, Math.min(rows.stored, owner.length), arena);
      await this.#executable.restoreState(arena);
    }
    this.#resident = owner;
  }

  #after<A>(owner: Resident, before: Promise<unknown>, work: () => Promise<A>): Promise<A> {
    this.#works++;
    const turn = before.then(() => {
      if (this.#disposed) {
        throw new WeftError([
          userProblem("inference", "a model must not be used after it was disposed", {
            remedy: "dispose it when nothing runs any more",
          }),
        ]);
      }
      return work();
    });
    const settled = turn.then(nothing, nothing);
    const former = this.#turn;
    // Without a value: what all work so far has given would be kept otherwise.
    this.#turn = former.then(() => settled);
    this.#latest = owner;
    this.#handed = this.#turn;
    return turn;
  }
}

/** The outputs as the programs have them; the decode program knows them all. */
function outputsOf(programs: Plan["programs"]): OutputShape[] {
  const program = programs.find(({ name }) => name === "prefill") ?? programs[0];
  return (program?.outputs ?? []).map(({ name, shape }) => ({
    name,
    // The first axis is the sequence.
    width: shape.slice(1).reduce((product, one) => product * one.constant, 1),
    everyPosition: (shape[0]?.terms.length ?? 0) > 0 || program?.name === "decode",
  }));
}
