/** Which kernels, or blocks, take the time of a program. */
import type { Busy, StepFigures } from "./figures.ts";

/** Peak rates of a machine. */
export interface Roofline {
  readonly bytesPerSecond: number;
  readonly operationsPerSecond: number;
}

export type ShareKey = "step" | "kernel" | "block";

/** Some steps together. Times are in nanoseconds. */
export interface Share {
  /** The kernel's name, with the step's number in front of it where each step is by itself; or the block. */
  readonly name: string;
  /** The kernel's kind; empty where there are several. */
  readonly kind: string;
  readonly steps: number;
  readonly nanoseconds: number;
  /** What the steps take at least, each by its bytes or its operations; undefined without a roofline. */
  readonly least?: number;
  /** Undefined where one lane executes the steps. */
  readonly busy?: Busy;
  readonly bytes: number;
  readonly operations: number;
  /** Where the steps are from, as `blockOf` says it, each once, in the order of the steps. */
  readonly blocks: readonly string[];
}

/** The steps of one kernel, or of one block, together; what takes longest comes first. */
export function sharesOf(steps: readonly StepFigures[], by: ShareKey, roofline?: Roofline): Share[] {
  const groups = new Map<string | number, StepFigures[]>();
  for (const step of steps) {
    const key = by === "step" ? step.step : by === "kernel" ? step.kernel : blockOf(step.origins);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [step]);
    else group.push(step);
  }
  return [...groups.values()]
    .map((group) => together(nameOf(group[0]!, by), group, roofline))
    .sort((a, b) => b.nanoseconds - a.nanoseconds);
}

/** All of them as one, under a name. */
export function together(name: string, steps: readonly StepFigures[], roofline?: Roofline): Share {
  const sum = (of: (one: StepFigures) => number) => steps.reduce((total, one) => total + of(one), 0);
  const kinds = new Set(steps.map(({ kind }) => kind));
  return {
    name,
    kind: kinds.size === 1 ? steps[0]!.kind : "",
    steps: steps.length,
    nanoseconds: sum(({ nanoseconds }) => nanoseconds),
    ...(roofline === undefined ? {} : { least: sum((one) => leastTime(one, roofline)) }),
    ...(steps.every(({ busy }) => busy === undefined)
      ? {}
      : { busy: { mean: sum(({ busy }) => busy?.mean ?? 0), most: sum(({ busy }) => busy?.most ?? 0) } }),
    bytes: sum(({ bytes }) => bytes),
    operations: sum(({ operations }) => operations),
    blocks: [...new Set(steps.map(({ origins }) => blockOf(origins)))],
  };
}

function leastTime({ bytes, operations }: StepFigures, roofline: Roofline): number {
  return 1e9 * Math.max(bytes / roofline.bytesPerSecond, operations / roofline.operationsPerSecond);
}

function nameOf({ step, name, origins }: StepFigures, by: ShareKey): string {
  return by === "step" ? `${step} ${name}` : by === "kernel" ? name : blockOf(origins);
}

/**
 * The block that most of a step's paths lie in, of several with as many the longest, with `*` for numbers of layers:
 * `model.layers.*.mlp`. Paths that lie in no block are named themselves.
 */
export function blockOf(origins: readonly string[]): string {
  const paths = origins.map((path) => path.replace(/(^|\.)\d+(?=\.|$)/g, "$1*"));
  if (paths.length === 0) return "-";
  if (paths.every((path) => !path.includes("."))) return listed([...new Set(paths)], 3);
  const counts = new Map<string, number>();
  for (const path of paths) counts.set(parentOf(path), (counts.get(parentOf(path)) ?? 0) + 1);
  const before = ([a, inA]: [string, number], [b, inB]: [string, number]) => inB - inA || b.length - a.length;
  return [...counts].sort(before)[0]![0];
}

/** A layer is a block; anything else lies in one. */
function parentOf(path: string): string {
  const end = path.lastIndexOf(".");
  return end < 0 || path.endsWith(".*") ? path : path.slice(0, end);
}

/** The first few, and that there are more. */
export function listed(names: readonly string[], most: number): string {
  return names.length <= most ? names.join(", ") : `${names.slice(0, most).join(", ")}, ...`;
}
