/** What lies in the arena of the activations when it is fullest. */
import { coverageOf } from "./coverage.ts";
import { type Lifetime, lifetimesOf } from "./memory.ts";
import type { Plan, PlanProgram } from "./types.ts";

export interface ArenaPeak {
  readonly program: string;
  /** Index into the program's steps. */
  readonly step: number;
  /** Bytes of the arena that something alive lies in. */
  readonly bytes: number;
  /** Indices of the buffers that are alive then. */
  readonly buffers: readonly number[];
}

/** The step with the most bytes alive, of the program that the arena is sized by; undefined for a plan without any. */
export function arenaPeak(plan: Plan): ArenaPeak | undefined {
  let largest = { end: -1, peak: undefined as ArenaPeak | undefined };
  for (const program of plan.programs) {
    const lives = [...lifetimesOf(plan, program).values()];
    const end = lives.reduce((most, { buffer }) => Math.max(most, endOf(plan, buffer)), 0);
    if (lives.length > 0 && end > largest.end) largest = { end, peak: peakOf(plan, program, lives) };
  }
  return largest.peak;
}

const endOf = ({ buffers }: Plan, index: number): number => buffers[index]!.offset + buffers[index]!.bytes;

function peakOf(plan: Plan, program: PlanProgram, lives: readonly Lifetime[]): ArenaPeak {
  const covered = coverageOf(plan, program);
  const bytes = covered.reduce((most, one) => Math.max(most, one), 0);
  const step = covered.indexOf(bytes);
  const alive = lives.filter(({ first, last }) => first <= step && step <= last);
  return { program: program.name, step, bytes, buffers: alive.map(({ buffer }) => buffer) };
}

/** Bytes that these buffers lie in: one that takes over the place of another counts once. */
export function bytesCovered(plan: Plan, buffers: readonly number[]): number {
  const pieces = buffers
    .map((index) => plan.buffers[index]!)
    .map(({ offset, bytes }) => ({ begin: offset, end: offset + bytes }))
    .sort((a, b) => a.begin - b.begin);
  let covered = 0;
  let reached = 0;
  for (const { begin, end } of pieces) {
    covered += Math.max(0, end - Math.max(begin, reached));
    reached = Math.max(reached, end);
  }
  return covered;
}
