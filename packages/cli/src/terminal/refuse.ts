/** Bad input found by the command itself, told in the form that every part of Weft uses. */
import { type Problem, unsupportedProblem, userProblem, WeftError } from "@weft/dsl";

type Rest = Omit<Problem, "kind" | "source" | "requirement">;

/** Throws a problem that the user can mend. */
export function refuse(source: string, requirement: string, rest: Rest = {}): never {
  throw new WeftError([userProblem(source, requirement, rest)]);
}

/** Throws a problem about something that is understood but not there. */
export function refuseUnsupported(source: string, requirement: string, rest: Rest = {}): never {
  throw new WeftError([unsupportedProblem(source, requirement, rest)]);
}

/** Throws all problems together, if there is any. */
export function refuseAll(problems: readonly Problem[]): void {
  const [first, ...rest] = problems;
  if (first !== undefined) throw new WeftError([first, ...rest]);
}
