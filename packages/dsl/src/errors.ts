/**
 * What can go wrong, as data: one tagged union for every stage, from a wrong axis in a block to a corrupt file.
 * `user` is for the caller to mend, `unsupported` is understood but not built, `internal` is a defect of Weft's own.
 */
import type { ReadonlyNonEmptyArray } from "fp-ts/lib/ReadonlyNonEmptyArray.js";

export interface Problem {
  readonly kind: "user" | "unsupported" | "internal";
  /** The op, pass, command or file that objects; printed in brackets. */
  readonly source: string;
  /** What must hold, as a sentence without a full stop. */
  readonly requirement: string;
  /** What was given instead. */
  readonly given?: string;
  /** The block path or parameter name. */
  readonly path?: string;
  /** The place in the user's source or file: `model.ts:12:5`, `config.json: rope_theta`. */
  readonly location?: string;
  /** What to do about it. */
  readonly remedy?: string;
  /** Lines of what was read, with a mark under the spot; they stand below the sentence. */
  readonly excerpt?: string;
}

/** Independent problems are collected and reported together. */
export type Problems = ReadonlyNonEmptyArray<Problem>;

/** The left side of every `Either` at the outer API. */
export type CompileError = Problems;

export function userProblem(
  source: string,
  requirement: string,
  rest: Omit<Problem, "kind" | "source" | "requirement"> = {},
): Problem {
  return { kind: "user", source, requirement, ...rest };
}

export function unsupportedProblem(
  source: string,
  requirement: string,
  rest: Omit<Problem, "kind" | "source" | "requirement"> = {},
): Problem {
  return { kind: "unsupported", source, requirement, ...rest };
}

export function internalProblem(
  source: string,
  requirement: string,
  rest: Omit<Problem, "kind" | "source" | "requirement"> = {},
): Problem {
  return { kind: "internal", source, requirement, ...rest };
}

/** `[rope] headDim must be even; given 7; at model.layers.0.self_attn (model.ts:12:5); choose an even head_dim`. */
export function formatProblem(problem: Problem): string {
  const place = [problem.path, problem.location && problem.path ? `(${problem.location})` : problem.location]
    .filter(Boolean)
    .join(" ");
  const parts = [
    problem.requirement,
    problem.given === undefined ? undefined : `given ${problem.given}`,
    place === "" ? undefined : `at ${place}`,
    problem.remedy,
  ].filter((part) => part !== undefined);
  const prefix =
    problem.kind === "internal" ? "internal: " : problem.kind === "unsupported" ? "unsupported: " : "";
  const below = problem.excerpt === undefined ? "" : `\n${problem.excerpt}`;
  return `${prefix}[${problem.source}] ${parts.join("; ")}${below}`;
}

/** More are counted, not told: a graph whose list stands backward has one for each of its nodes. */
const mostTold = 500;

export function formatProblems(problems: Problems): string {
  const told = problems.slice(0, mostTold).map(formatProblem);
  const more = problems.length - told.length;
  return [...told, ...(more === 0 ? [] : [`... and ${more} more problems`])].join("\n");
}

/** The same problems for callers that use exceptions and promises. */
export class WeftError extends Error {
  override readonly name = "WeftError";
  readonly problems: Problems;
  constructor(problems: Problems, options?: ErrorOptions) {
    super(formatProblems(problems), options);
    this.problems = problems;
  }
}

/** Throws what an `Either` holds on its left; for scripts and tests. */
export function orThrow<A>(either: { _tag: "Left"; left: Problems } | { _tag: "Right"; right: A }): A {
  if (either._tag === "Left") throw new WeftError(either.left);
  return either.right;
}
