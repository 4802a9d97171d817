/**
 * Profiles as a trace in Chrome's format, which Perfetto (ui.perfetto.dev) and chrome://tracing open: a process for each
 * program, a row for each lane, an event for what a lane did of a step.
 *
 * Format: "Trace Event Format", Google, 2016. Times are microseconds.
 */
import type { Profile } from "../device.ts";
import type { StepFigures } from "./figures.ts";

/** One run of a program. */
export interface TracedRun {
  /** As the process is called. */
  readonly name: string;
  readonly profile: Pick<Profile, "lanes" | "steps">;
  /** Bytes and operations of the steps. */
  readonly figures: readonly StepFigures[];
}

interface MetadataEvent {
  readonly ph: "M";
  readonly name: "process_name" | "process_sort_index" | "thread_name" | "thread_sort_index";
  readonly pid: number;
  readonly tid?: number;
  readonly args: { readonly name: string } | { readonly sort_index: number };
}

export interface CompleteEvent {
  readonly ph: "X";
  readonly name: string;
  /** The kind of the kernel. */
  readonly cat: string;
  readonly pid: number;
  readonly tid: number;
  readonly ts: number;
  readonly dur: number;
  readonly args: {
    readonly step: number;
    readonly origins: string;
    /** Microseconds that the lane waited for others within the step. */
    readonly waited: number;
    readonly bytes: number;
    readonly operations: number;
    /** Of the whole step, by the time of all lanes. */
    readonly "GB/s": number;
    readonly "GFLOP/s": number;
  };
}

export type TraceEvent = MetadataEvent | CompleteEvent;

export interface Trace {
  readonly displayTimeUnit: "ns";
  readonly traceEvents: readonly TraceEvent[];
}

/** The runs behind each other, so that they do not look as if they had been under way together. */
export function traceOf(runs: readonly TracedRun[]): Trace {
  const traceEvents: TraceEvent[] = [];
  let began = 0;
  for (const [index, run] of runs.entries()) {
    // Process 0 and thread 0 are the idle ones of a system: viewers leave them out.
    const pid = index + 1;
    traceEvents.push(...namesOf(run, pid), ...eventsOf(run, pid, began));
    began += lengthOf(run.profile);
  }
  return { displayTimeUnit: "ns", traceEvents };
}

/** The first lane's steps begin a moment behind the run. */
function lengthOf({ steps }: TracedRun["profile"]): number {
  return steps.reduce((last, { spans }) => spans.reduce((end, one) => Math.max(end, one.end), last), 0);
}

function namesOf({ name, profile }: TracedRun, pid: number): MetadataEvent[] {
  return [
    { ph: "M", name: "process_name", pid, args: { name } },
    { ph: "M", name: "process_sort_index", pid, args: { sort_index: pid } },
    ...profile.lanes.flatMap((name, lane): MetadataEvent[] => [
      { ph: "M", name: "thread_name", pid, tid: lane + 1, args: { name } },
      { ph: "M", name: "thread_sort_index", pid, tid: lane + 1, args: { sort_index: lane } },
    ]),
  ];
}

function eventsOf({ profile, figures }: TracedRun, pid: number, began: number): CompleteEvent[] {
  return profile.steps.flatMap(({ step, origins, nanoseconds, spans }) => {
    const { name, kind, bytes, operations } = figures[step]!;
    const rate = (count: number) => (nanoseconds === 0 ? 0 : Number((count / nanoseconds).toPrecision(4)));
    return spans.map(
      ({ begin, end, waited }, lane): CompleteEvent => ({
        ph: "X",
        name,
        cat: kind,
        pid,
        tid: lane + 1,
        ts: (began + begin) / 1000,
        dur: (end - begin) / 1000,
        args: {
          step,
          origins: origins.join(", "),
          waited: waited / 1000,
          bytes,
          operations,
          "GB/s": rate(bytes),
          "GFLOP/s": rate(operations),
        },
      }),
    );
  });
}
