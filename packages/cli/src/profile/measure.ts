/** Runs the programs of a subject, several times each. */
import { type Profile, type StepFigures, stepFigures } from "@weft/runtime";
import { interruption } from "../terminal/interrupt.ts";
import { Progress } from "../terminal/progress.ts";
import type { ProfiledProgram, Subject } from "./subject.ts";

export interface MeasuredProgram {
  readonly name: string;
  /** The symbol values that it was run with. */
  readonly at: ProfiledProgram["symbols"];
  readonly profiles: readonly Profile[];
  readonly steps: readonly StepFigures[];
}

/**
 * @param repeat measured runs of each; one in front of them warms caches and pages
 * @throws when Ctrl-C was pressed
 */
export async function measurePrograms(
  { executable, programs }: Subject,
  repeat: number,
): Promise<MeasuredProgram[]> {
  const progress = new Progress();
  const measured: MeasuredProgram[] = [];
  try {
    for (const { name, symbols, inputs } of programs) {
      const profiles: Profile[] = [];
      for (let run = 0; run <= repeat; run++) {
        interruption.throwIfAborted();
        progress.update(`measuring ${name}`, run, repeat + 1);
        const profile = await executable.profile(name, { symbols, inputs, outputs: {} });
        if (run > 0) profiles.push(profile);
      }
      const steps = stepFigures(executable.plan, name, symbols, profiles);
      measured.push({ name, at: symbols, profiles, steps });
    }
  } finally {
    progress.clear();
  }
  return measured;
}
