/** The tables that the benchmark prints. */
import { digits, percent, showSpread } from "../support/statistics.ts";
import { table } from "../support/table.ts";
import type { KernelProfile, Limits, Measured, Row } from "./rows.ts";
import { type Target, targetsOf, verdict } from "./targets.ts";

export function showRows(
  rows: readonly Row[],
  { copyBytesPerSecond: copyRate, matmulOperationsPerSecond: matmulRate }: Limits,
): string {
  return table([
    [
      "tokens/s: median (min..max)",
      "size",
      "tokens/s",
      "MB per token",
      "share of copy",
      "share of matmul",
      "GB of memory",
    ],
    ...rows.map(
      ({ model, who, kind, size, tokensPerSecond, bytesPerToken, operationsPerToken, memoryBytes }) => [
        `${model} ${kind} ${who}`,
        String(size),
        showSpread(tokensPerSecond),
        bytesPerToken === undefined ? "" : digits(bytesPerToken / 1e6),
        bytesPerToken === undefined || copyRate === undefined
          ? ""
          : percent((bytesPerToken * tokensPerSecond.median) / copyRate),
        operationsPerToken === undefined || matmulRate === undefined
          ? ""
          : percent((operationsPerToken * tokensPerSecond.median) / matmulRate),
        memoryBytes === undefined ? "" : digits(memoryBytes / 1e9),
      ],
    ),
  ]);
}

/** Least time by the cost model and the limits, for all steps of a kernel; undefined without limits. */
export function rooflineOf(
  { bytes, operations }: { readonly bytes: number; readonly operations: number },
  { copyBytesPerSecond, matmulOperationsPerSecond }: Limits,
): number | undefined {
  if (copyBytesPerSecond === undefined) return undefined;
  const arithmetic = matmulOperationsPerSecond === undefined ? 0 : operations / matmulOperationsPerSecond;
  return Math.max(bytes / copyBytesPerSecond, arithmetic);
}

export function showProfile({ model, program, size, kernels }: KernelProfile, limits: Limits): string {
  const total = kernels.reduce((sum, one) => sum + one.seconds, 0);
  return table([
    [
      `${model} ${program} ${size}: ${digits(total * 1e3)} ms in kernels`,
      "steps",
      "us each",
      "share",
      "GB/s",
      "TFLOP/s",
      "roofline us",
      "of it",
    ],
    ...kernels.map((one) => {
      const least = rooflineOf(one, limits);
      return [
        one.kernel,
        String(one.steps),
        digits((one.seconds / one.steps) * 1e6),
        percent(one.seconds / total),
        digits(one.bytes / one.seconds / 1e9),
        digits(one.operations / one.seconds / 1e12),
        least === undefined ? "-" : digits((least / one.steps) * 1e6),
        least === undefined ? "-" : percent(least / one.seconds),
      ];
    }),
  ]);
}

export function showLimits({ copyBytesPerSecond, matmulOperationsPerSecond, source }: Limits): string {
  const copy = copyBytesPerSecond === undefined ? "unknown" : `${digits(copyBytesPerSecond / 1e9)} GB/s`;
  const matmul =
    matmulOperationsPerSecond === undefined
      ? "unknown"
      : `${digits(matmulOperationsPerSecond / 1e12)} TFLOP/s`;
  return `device copy (read + written) ${copy}, bf16 matmul ${matmul} (${source})`;
}

export function showTargets(targets: readonly Target[]): string {
  const withUnit = (value: number, { unit }: Target) => `${digits(value)} ${unit}`;
  return table([
    ["target", "at least", "measured", ""],
    ...targets.map((target) => [
      target.question,
      withUnit(target.wanted, target),
      target.measured === undefined ? "-" : withUnit(target.measured, target),
      verdict(target),
    ]),
  ]);
}

/** Everything, the short table last. */
export function showAll({ rows, profiles, missing, limits }: Measured): string {
  return [
    ...profiles.map((profile) => showProfile(profile, limits)),
    showLimits(limits),
    ...(missing.length === 0
      ? []
      : [["not measured:", ...missing.map(({ what, why }) => `  ${what}: ${why}`)].join("\n")]),
    ...(rows.length === 0 ? ["no row was measured"] : [showRows(rows, limits)]),
    showTargets(targetsOf(rows)),
  ].join("\n\n");
}
