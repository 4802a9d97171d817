/** All modules of a plan for some targets, before there is a device. */
import { availableParallelism } from "node:os";
import { type CudaPlan, preludeFolder, selfContained } from "@weft/compiler";
import type { Compiler, KernelResources } from "./compiler.ts";
import { cachedCompilation, type KernelCache } from "./kernel-cache.ts";
import { kernelResources } from "./resources.ts";
import { targetFacts } from "./targets.ts";

export interface TargetImages {
  readonly target: string;
  /** One per module of the plan, in its order. */
  readonly images: readonly Uint8Array[];
  /** Of all kernels, by name; empty for compilers that do not say. */
  readonly resources: readonly KernelResources[];
}

export interface CompileAheadOptions {
  readonly cache: KernelCache;
  /** Modules that are compiled at once; default: one per processor, at most 4. */
  readonly parallel?: number;
  readonly onProgress?: (done: number, total: number) => void;
}

/** @throws WeftError for an unknown target, before anything is compiled; else the first that the compiler throws. */
export async function compileAhead(
  plan: CudaPlan,
  compiler: Compiler,
  targets: readonly string[],
  { cache, parallel = Math.min(availableParallelism(), 4), onProgress = () => {} }: CompileAheadOptions,
): Promise<TargetImages[]> {
  for (const target of targets) targetFacts(target);
  const folders = [...(compiler.preludeFolders ?? []), preludeFolder];
  const sources = plan.modules.map(({ source }) => selfContained(source, folders));
  const jobs = targets.flatMap((target) => sources.map((source) => ({ target, source })));
  const done: Awaited<ReturnType<typeof cachedCompilation>>[] = new Array(jobs.length);
  let [next, finished, failed] = [0, 0, false];
  const work = async () => {
    while (next < jobs.length && !failed) {
      const index = next++;
      const { source, target } = jobs[index]!;
      try {
        done[index] = await cachedCompilation(cache, compiler, source, target);
      } catch (error) {
        failed = true;
        throw error;
      }
      onProgress(++finished, jobs.length);
    }
  };
  // All workers end before the first error is told: none is left behind with a compiler at work.
  const outcomes = await Promise.allSettled(Array.from({ length: Math.max(1, parallel) }, work));
  const rejected = outcomes.find((one) => one.status === "rejected");
  if (rejected !== undefined) throw rejected.reason;
  return targets.map((target, index) => {
    const own = done.slice(index * sources.length, (index + 1) * sources.length);
    return {
      target,
      images: own.map(({ image }) => image),
      resources: own.flatMap(({ log }) => kernelResources(log)),
    };
  });
}
