/**
 * The least recomputation with which a training step stays within a budget. What a plan needs is known exactly before it
 * runs, so candidates are compiled and compared, not estimated.
 */
import { type Problems, userProblem } from "@weft/dsl";
import { type Either, isLeft, left, right } from "fp-ts/lib/Either.js";
import type { Compiled } from "./compile.ts";
import type { Recomputation } from "./passes/checkpoint/keep.ts";
import { describeRung, type RecomputationRung, rungAt, rungCount } from "./passes/checkpoint/ladder.ts";
import { formatBytes } from "./print/plan.ts";

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

/**
 * Memory falls about evenly from rung to rung, so each candidate is guessed from the two around it.
 * @returns Left, if even `everything` needs more, with what it needs.
 */
export function compileWithinBudget<A extends Compiled>(
  { bytes, blocks, from = "rows" }: BudgetOptions,
  compileAt: (rung: RecomputationRung) => Either<Problems, A>,
): Either<Problems, WithinBudget<A>> {
  const attempt = (at: number) => {
    const rung = rungAt(at, blocks, from);
    const compiled = compileAt(rung);
    return isLeft(compiled) ? compiled : right({ at, rung, compiled: compiled.right });
  };
  const needOf = ({ compiled }: { readonly compiled: A }) => compiled.plan.memory.activations;
  const most = attempt(0);
  if (isLeft(most) || needOf(most.right) <= bytes) return most;
  const least = attempt(rungCount(blocks, from) - 1);
  if (isLeft(least)) return least;
  if (needOf(least.right) > bytes) {
    const leastBytes = formatBytes(needOf(least.right));
    return left([
      userProblem(
        "activation budget",
        `must be at least ${leastBytes}, where ${describeRung(least.right.rung)}`,
        {
          given: formatBytes(bytes),
          remedy: "give more, or fewer tokens to a pass",
        },
      ),
    ]);
  }
  let [over, within] = [most.right, least.right];
  while (within.at - over.at > 1) {
    const share = (needOf(over) - bytes) / (needOf(over) - needOf(within));
    const guess = Math.ceil(over.at + share * (within.at - over.at));
    const middle = attempt(Math.min(Math.max(guess, over.at + 1), within.at - 1));
    if (isLeft(middle)) return middle;
    if (needOf(middle.right) <= bytes) within = middle.right;
    else over = middle.right;
  }
  return right(within);
}
