/**
 * The few helpers that every reader of a checkpoint directory shares: problems (defined once, in the DSL package)
 * as the left side of an `Either`, and collecting independent problems instead of stopping at the first.
 */
import { type Problem, type Problems, userProblem } from "@weft/dsl";
import * as Either from "fp-ts/lib/Either.js";
import type { Semigroup } from "fp-ts/lib/Semigroup.js";

export {
  formatProblem,
  formatProblems,
  internalProblem,
  type Problem,
  type Problems,
  unsupportedProblem,
  userProblem,
  WeftError,
} from "@weft/dsl";

/** A value, or all the reasons why there is none. */
export type Checked<A> = Either.Either<Problems, A>;

/** Written out: the array modules of fp-ts take longer to load than a whole checkpoint's headers to read. */
const bothLists: Semigroup<Problems> = {
  concat: ([first, ...rest], others) => [first, ...rest, ...others],
};

/** The applicative that collects the problems of all parts: `sequenceS(collecting)({ a, b })`. */
export const collecting = Either.getApplicativeValidation(bothLists);

/** Left when there is at least one problem, right otherwise. */
export function unlessProblems<A>(problems: readonly Problem[], value: () => A): Checked<A> {
  const [first, ...rest] = problems;
  return first === undefined ? Either.right(value()) : Either.left([first, ...rest]);
}

/** A left with one problem that the user can mend. */
export function refuse(
  source: string,
  requirement: string,
  rest: Omit<Problem, "kind" | "source" | "requirement"> = {},
): Either.Either<Problems, never> {
  return Either.left([userProblem(source, requirement, rest)]);
}

/** A given value as it is shown in a message: JSON, cut to a readable length. */
export function showGiven(value: unknown): string {
  if (value === undefined) return "nothing";
  const text = typeof value === "number" ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
