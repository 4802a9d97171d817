/** What was measured, as text and as figures. Pure: whatever was measured, the same gives the same. */
import { blockOf, type Roofline, type Share, type ShareKey, sharesOf, tableOfShares } from "@weft/runtime";
import { formatTable } from "../terminal/table.ts";
import type { MeasuredProgram } from "./measure.ts";

export interface ReportOptions {
  readonly by: ShareKey;
  readonly device: "cpu" | "cuda" | "cuda-sim";
  /** Of the CPU's team. */
  readonly threads: number;
  readonly repeat: number;
  readonly roofline: Roofline & { readonly source: string };
}

export const simulatedNote =
  "times of the simulated GPU are those of a host that executes it thread by thread: they say nothing of a GPU";

/** A line on what was measured, and the table. */
export function formatProgram({ name, at, steps }: MeasuredProgram, options: ReportOptions): string {
  const { by, device, threads, repeat, roofline } = options;
  const symbols = Object.entries(at).map(([symbol, value]) => `${symbol}=${value}`);
  const where = device === "cpu" ? `cpu, ${threads} thread${threads === 1 ? "" : "s"}` : device;
  const runs = repeat === 1 ? "one run" : `medians of ${repeat} runs`;
  const line = [
    `${name}${symbols.length === 0 ? "" : ` at ${symbols.join(", ")}`} on ${where}, ${runs}`,
    `roofline ${formatRate(roofline.bytesPerSecond)}B/s, ${formatRate(roofline.operationsPerSecond)}FLOP/s (${roofline.source})`,
    ...(device === "cuda-sim" ? [simulatedNote] : []),
  ];
  const { columns, rows } = tableOfShares(sharesOf(steps, by, roofline), { title: by });
  return `${line.join("; ")}\n\n${formatTable(columns, rows)}`;
}

/** `21.3 G`. */
function formatRate(perSecond: number): string {
  const [size, unit] = perSecond >= 1e12 ? [1e12, "T"] : [1e9, "G"];
  const value = perSecond / size;
  return `${value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2)} ${unit}`;
}

/** The same for programs. Times are nanoseconds, rates are per second. */
export function figuresOf(
  target: string,
  plan: string,
  programs: readonly MeasuredProgram[],
  { by, device, threads, repeat, roofline }: ReportOptions,
): object {
  return {
    target,
    plan,
    device,
    ...(device === "cpu" ? { threads } : {}),
    ...(device === "cuda-sim" ? { note: simulatedNote } : {}),
    repeat,
    roofline,
    programs: programs.map(({ name, at, steps }) => ({
      name,
      at,
      nanoseconds: steps.reduce((sum, one) => sum + one.nanoseconds, 0),
      by,
      shares: sharesOf(steps, by, roofline).map(shareFigures),
      steps: steps.map(({ kernel: _, ...step }) => ({ ...step, block: blockOf(step.origins) })),
    })),
  };
}

function shareFigures({ least, busy, ...share }: Share): object {
  const { nanoseconds, bytes, operations } = share;
  const perSecond = (count: number) => (nanoseconds === 0 ? null : (1e9 * count) / nanoseconds);
  return {
    ...share,
    bytesPerSecond: perSecond(bytes),
    operationsPerSecond: perSecond(operations),
    shareOfRoofline: least === undefined || nanoseconds === 0 ? null : least / nanoseconds,
    balance: busy === undefined || busy.most === 0 ? null : busy.mean / busy.most,
  };
}
