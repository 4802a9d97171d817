/**
 * The least recomputation with which a training step stays within a budget. What a plan needs is known exactly before it
 * runs, so candidates are compiled and compared, not estimated.
 */
import { type Problems, userProblem } from "@weft/dsl";
import { type Either, isLeft, left, map, right } from "fp-ts/lib/Either.js";
import type { Compiled } from "./compile.ts";
import type { Recomputation } from "./passes/checkpoint/keep.ts";
import { describeRung, type RecomputationRung, rungAt, rungCount } from "./passes/checkpoint/ladder.ts";
import { formatBytes } from "./print/amounts.ts";

export interface BudgetOptions {
  /** The most bytes of the arena of activations, in which gradients and temporary values lie too. */
  readonly bytes: number;
  /** How many blocks the model has. */
  readonly blocks: number;
  /** What is computed again in any case. Default `rows`, which costs no time that can be measured. */
  readonly from?: Recomputation;
}

export interface WithinBudget<A extends Compiled> {
  readonly compiled: A;
  readonly rung: RecomputationRung;
}

/** So many rungs of the last kind are tried before a budget is refused. */
const mostSamples = 8;

/**
 * The ends of each recomputation are tried first. Between one that is over and one that fits, memory falls about evenly,
 * so further candidates are guessed from the two around them. Where computing more again takes more at once than it frees
 * (a layer just behind the head, few tokens), the last rung is not the smallest: some before it are tried as well.
 * @returns a rung that fits, below which the next one does not. Left, if none that was tried does, with the least need.
 */
export function compileWithinBudget<A extends Compiled>(
  { bytes, blocks, from = "rows" }: BudgetOptions,
  compileAt: (rung: RecomputationRung) => Either<Problems, A>,
): Either<Problems, WithinBudget<A>> {
  interface Candidate extends WithinBudget<A> {
    readonly at: number;
    readonly need: number;
  }
  const tried: Candidate[] = [];
  const last = rungCount(blocks, from) - 1;
  const phases = Math.max(1, Math.round(last / blocks));
  const ends = Array.from({ length: phases + 1 }, (_, phase) => Math.min(phase * blocks, last));
  const step = Math.max(1, Math.floor(blocks / mostSamples));
  const between = Array.from({ length: mostSamples }, (_, sample) => last - 1 - sample * step);
  const order = [...new Set([...ends, ...between.filter((at) => at > last - blocks && at > 0)])];
  const attempt = (at: number): Either<Problems, Candidate> => {
    const rung = rungAt(at, blocks, from);
    return map((compiled: A) => {
      const candidate = { at, rung, compiled, need: compiled.plan.memory.activations };
      tried.push(candidate);
      return candidate;
    })(compileAt(rung));
  };
  let within: Candidate | undefined;
  for (const at of order) {
    const candidate = attempt(at);
    if (isLeft(candidate)) return candidate;
    if (candidate.right.need > bytes) continue;
    within = candidate.right;
    break;
  }
  if (within === undefined) {
    const least = tried.reduce((best, one) => (one.need < best.need ? one : best));
    return left([
      userProblem(
        "activation budget",
        `must be at least ${formatBytes(least.need)}, where ${describeRung(least.rung)}`,
        {
          given: formatBytes(bytes),
          remedy: "give more, or train fewer tokens in a pass, adapters or the last layers only",
        },
      ),
    ]);
  }
  const fitting = within.at;
  let over = tried
    .filter(({ at }) => at < fitting)
    .reduce<Candidate | undefined>(
      (best, one) => (best === undefined || one.at > best.at ? one : best),
      undefined,
    );
  while (over !== undefined && within.at - over.at > 1) {
    const share: number = (over.need - bytes) / Math.max(1, over.need - within.need);
    const guess: number = Math.ceil(over.at + share * (within.at - over.at));
    const middle = attempt(Math.min(Math.max(guess, over.at + 1), within.at - 1));
    if (isLeft(middle)) return middle;
    if (middle.right.need <= bytes) within = middle.right;
    else over = middle.right;
  }
  const { compiled, rung } = within;
  return right({ compiled, rung });
}
