/** What is profiled: a loaded plan, and what each of its programs is run with. */
import type { Executable, RunOptions } from "@weft/runtime";

export interface ProfiledProgram extends Pick<RunOptions, "symbols" | "inputs"> {
  readonly name: string;
}

export interface Subject extends Disposable {
  readonly executable: Executable;
  /** Those that were asked for, in the order in which they are run. */
  readonly programs: readonly ProfiledProgram[];
}
