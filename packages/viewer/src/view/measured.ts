/** Times that were measured, from a file: which plan, which program at which sizes, and the nanoseconds of each step. */
import type { Plan } from "@weft/compiler";
import { type Problem, type Problems, userProblem } from "@weft/dsl";
import { type Either, left, right } from "fp-ts/lib/Either.js";

/** Raised whenever a reader of the old version could misread a new file. */
export const measuredVersion = 2;

export interface Measured {
  readonly version: number;
  /** Hash of the plan that was run. */
  readonly plan: string;
  readonly programs: readonly MeasuredProgram[];
}

export interface MeasuredProgram {
  readonly name: string;
  /** The symbol values that it was run with: what a step moves and computes, and how long that takes at least, follow from them. */
  readonly at: Readonly<Record<string, number>>;
  /** By step. */
  readonly nanoseconds: readonly number[];
}

/**
 * Reads measured times and checks that they are this plan's.
 * @param file where the text is from, for errors
 */
export function readMeasured(
  text: string,
  plan: Plan,
  file: string,
): Either<Problems, ReadonlyMap<string, MeasuredProgram>> {
  const refuse = (requirement: string, given: string, remedy = "measure this plan again") =>
    left<Problems>([userProblem("profile", requirement, { given, location: file, remedy })]);
  let value: Partial<Measured> | null;
  try {
    value = JSON.parse(text) as Partial<Measured> | null;
  } catch (error) {
    return refuse("the file must hold JSON", (error as Error).message);
  }
  if (typeof value !== "object" || value === null || !Array.isArray(value.programs))
    return refuse("the file must hold the programs that were measured", shown(value));
  if (value.version !== measuredVersion)
    return refuse(`the file must be of version ${measuredVersion}`, shown(value.version));
  if (value.plan !== plan.hash)
    return refuse(
      "the times must be those of this plan",
      `plan ${shown(value.plan)}, not ${plan.hash.slice(0, 12)}`,
      "inspect with the options that were measured with",
    );
  const problems: Problem[] = [];
  const found = new Map<string, MeasuredProgram>();
  for (const one of value.programs as readonly Partial<MeasuredProgram>[]) {
    const program = plan.programs.find(({ name }) => name === one?.name);
    const times = one?.nanoseconds;
    const isUsable =
      program !== undefined &&
      Array.isArray(times) &&
      times.length === program.steps.length &&
      times.every((time) => typeof time === "number" && time >= 0 && Number.isFinite(time));
    const at = one?.at;
    if (isUsable && !areSizes(plan, at))
      problems.push(
        userProblem("profile", "each entry must have the sizes that it was measured at", {
          given: `${shown(one?.name)} at ${shown(at)}`,
          location: file,
          remedy: "measure this plan again",
        }),
      );
    else if (isUsable && areSizes(plan, at))
      found.set(program.name, { name: program.name, at, nanoseconds: times });
    else {
      const wanted = program === undefined ? "a program of the plan" : `all ${program.steps.length} steps`;
      problems.push(
        userProblem("profile", `each entry must have the times of ${wanted}`, {
          given: `${shown(one?.name)} with ${Array.isArray(times) ? `${times.length} times` : shown(times)}`,
          location: file,
        }),
      );
    }
  }
  const [first, ...rest] = problems;
  return first === undefined ? right(found) : left([first, ...rest]);
}

/** A value for every symbol that is not the sum of others, within its bounds. */
function areSizes(plan: Plan, at: unknown): at is Readonly<Record<string, number>> {
  if (typeof at !== "object" || at === null) return false;
  const own = plan.symbols.filter(({ sum }) => sum.length === 0);
  return own.every(({ name, max }) => {
    const value = (at as Readonly<Record<string, unknown>>)[name];
    return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= max;
  });
}

const shown = (value: unknown) => (value === undefined ? "nothing" : JSON.stringify(value));
