/** What is profiled: a loaded plan, and what each of its programs is run with. */
import { nearestName } from "@weft/dsl";
import type { Executable, RunOptions } from "@weft/runtime";
import { refuse } from "../terminal/refuse.ts";

export interface ProfiledProgram extends Pick<RunOptions, "symbols" | "inputs"> {
  readonly name: string;
}

export interface Subject extends Disposable {
  readonly executable: Executable;
  /** Those that were asked for, in the order in which they are run. */
  readonly programs: readonly ProfiledProgram[];
}

/** @throws WeftError for a program that is none of them */
export function checkProgram(asked: string | undefined, names: readonly string[]): void {
  if (asked === undefined || names.includes(asked)) return;
  const near = nearestName(asked, names);
  refuse("--program", `must be one of ${names.join(", ")}`, {
    given: asked,
    ...(near === undefined ? {} : { remedy: `did you mean ${near}?` }),
  });
}
