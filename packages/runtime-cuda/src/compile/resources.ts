/** What `ptxas -v` reports about each kernel, read from its output. */
import { internalProblem, WeftError } from "@weft/dsl";
import type { KernelResources } from "./compiler.ts";

const number = (text: string, pattern: RegExp): number => Number(pattern.exec(text)?.[1] ?? 0);

const sum = (values: readonly number[]): number => values.reduce((total, one) => total + one, 0);
const frame = /(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads/g;

/**
 * One entry per kernel, by name.
 * @throws WeftError for output that names a kernel but not its registers: it is from a ptxas that reports otherwise.
 */
export function kernelResources(log: string): KernelResources[] {
  const parts = log.split(/^ptxas info\s*: Compiling entry function /m).slice(1);
  return parts
    .map((part) => {
      const kernel = /^'([^']+)'/.exec(part)?.[1] ?? "";
      const used = /: Used (\d+) registers(.*)$/m.exec(part);
      // Device functions that were not inlined report properties of their own: what they spill counts as well.
      const frames = [...part.matchAll(frame)].map((found) => found.slice(1).map(Number));
      if (kernel === "" || used === null || frames.length === 0) {
        throw new WeftError([
          internalProblem("ptxas", "must report registers and spills of every kernel", {
            given: part.slice(0, 300),
          }),
        ]);
      }
      return {
        kernel,
        registers: Number(used[1]),
        spillStores: sum(frames.map((one) => one[1]!)),
        spillLoads: sum(frames.map((one) => one[2]!)),
        stackBytes: Math.max(
          ...frames.map((one) => one[0]!),
          number(used[2]!, /(\d+) bytes cumulative stack size/),
        ),
        staticSharedBytes: number(used[2]!, /(\d+) bytes smem/),
      };
    })
    .sort((a, b) => (a.kernel < b.kernel ? -1 : 1));
}
