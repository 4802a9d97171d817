/** How much memory a plan's values take: known before anything runs. */
import { TestFailure } from "@weft/dsl/testing";
import type { Compiled } from "../compile.ts";
import { lifetimesOf } from "../plan/memory.ts";
import { bytesCovered } from "../plan/peak.ts";
import { formatBytes } from "../print/amounts.ts";
import type { KernelOptions } from "./kernels.ts";
import { programIndex } from "./program-index.ts";

/** Exactly so many bytes, at most so many, or no more than what is alive at once. */
export type ExpectedBytes = number | { readonly atMost: number } | "lowerBound";

/**
 * Asserts the bytes that the activations of a program take in the arena.
 * @throws TestFailure with the step at which the arena is fullest, and what lies in it then.
 * @example assertPeakBytes(compileBlock(mlp, { lead: [seq] }), 32 * 128 * 4);
 */
export function assertPeakBytes(
  compiled: Compiled,
  expected: ExpectedBytes,
  options: KernelOptions = {},
): void {
  const program = programIndex("assertPeakBytes", compiled, options.program);
  const { bytes, lowerBound } = compiled.programs[program]!;
  const wanted =
    expected === "lowerBound" ? lowerBound : typeof expected === "number" ? expected : expected.atMost;
  if (typeof expected === "object" ? bytes <= wanted : bytes === wanted) return;
  const { name } = compiled.plan.programs[program]!;
  const what =
    expected === "lowerBound"
      ? `the lower bound, ${wanted}`
      : `${typeof expected === "object" ? "at most " : ""}${wanted}`;
  const change = bytes > wanted ? `${bytes - wanted} more` : `${wanted - bytes} fewer`;
  throw new TestFailure(
    `assertPeakBytes: activations of ${name} take ${bytes} bytes, expected ${what}: ${change}\n${fullestStep(compiled, program)}`,
  );
}

/** The step with the most bytes alive, and each of its values, the largest first. */
function fullestStep({ plan }: Compiled, index: number): string {
  const program = plan.programs[index]!;
  const lives = [...lifetimesOf(plan, program).values()];
  const steps = program.steps.map(({ kernel }, step) => {
    const buffers = lives
      .filter(({ first, last }) => first <= step && step <= last)
      .map(({ buffer }) => buffer);
    return { step, kernel: plan.kernels[kernel]!.name, buffers, bytes: bytesCovered(plan, buffers) };
  });
  const fullest = steps.reduce((most, one) => (one.bytes > most.bytes ? one : most));
  const rows = fullest.buffers
    .map((buffer) => plan.buffers[buffer]!)
    .sort((a, b) => b.bytes - a.bytes)
    .map(
      ({ name, bytes, dtype, shape }) => `    ${formatBytes(bytes)}  ${dtype}[${shape.join(", ")}] ${name}`,
    );
  return [`  fullest at step ${fullest.step}, ${fullest.kernel}: ${fullest.bytes} bytes`, ...rows].join("\n");
}
