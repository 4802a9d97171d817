/**
 * How much of the processor other programs took while something was measured. A benchmark on a shared machine says
 * so beside its figures, and repeats what was disturbed.
 */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const ticksPerSecond = 100;

/** Processor seconds that the whole machine has spent, time stolen by the host included; undefined off Linux. */
function machineSeconds(): number | undefined {
  let line = "";
  try {
    line = readFileSync("/proc/stat", "utf8").split("\n", 1)[0]!;
  } catch {
    return undefined;
  }
  const [user, nice, system, , , interrupt, softInterrupt, steal] = line.split(/\s+/).slice(1).map(Number);
  return (user! + nice! + system! + interrupt! + softInterrupt! + steal!) / ticksPerSecond;
}

/** Processor seconds of all child processes of this one that have ended; 0 off Linux. */
export function endedChildrenSeconds(): number {
  try {
    // After the program's name in parentheses; cutime and cstime are fields 16 and 17 of proc(5).
    const fields = readFileSync("/proc/self/stat", "utf8").split(") ").at(-1)!.split(" ");
    return (Number(fields[13]) + Number(fields[14])) / ticksPerSecond;
  } catch {
    return 0;
  }
}

export interface Watched<A> {
  readonly value: A;
  /** Processors that others kept busy on average; undefined where the system does not tell. */
  readonly others: number | undefined;
}

/** @param own processor seconds that the work itself took, as its process counts them */
export async function watchOthers<A>(work: () => Promise<A>, own: (value: A) => number): Promise<Watched<A>> {
  const before = machineSeconds();
  const started = performance.now();
  const value = await work();
  const elapsed = (performance.now() - started) / 1000;
  const after = machineSeconds();
  if (before === undefined || after === undefined) return { value, others: undefined };
  return { value, others: Math.max(0, (after - before - own(value)) / elapsed) };
}

/** Above this the figures mean little. */
export const disturbing = 0.15;

/** Waits until the machine is idle, for at most so many seconds; true when it is. */
export async function waitForQuiet(seconds: number): Promise<boolean> {
  const end = performance.now() + seconds * 1000;
  while (true) {
    const { others } = await watchOthers(
      () => sleep(300),
      () => 0,
    );
    if (others === undefined || others < disturbing) return true;
    if (performance.now() >= end) return false;
  }
}
