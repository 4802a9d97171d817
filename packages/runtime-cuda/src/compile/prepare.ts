/** A plan made ready for a device: from a folder that was compiled ahead of time, or by a compiler and the cache. */
import { type CudaPlan, emitCuda, type Plan } from "@weft/compiler";
import { unsupportedProblem, userProblem, WeftError } from "@weft/dsl";
import { compileAhead } from "./compile-ahead.ts";
import type { Compiler } from "./compiler.ts";
import type { KernelCache } from "./kernel-cache.ts";
import type { CompiledFolder } from "./read-compiled.ts";
import { targetFor, targetNames } from "./targets.ts";

export interface PreparedModules {
  readonly cudaPlan: CudaPlan;
  /** One per module of `cudaPlan`. */
  readonly images: readonly Uint8Array[];
}

/** Of a device: 9.0 is 90. */
interface Capable {
  readonly computeCapability: number;
}

type Prepare = (plan: Plan, device: Capable) => Promise<PreparedModules>;

/** Takes the images of a folder; its plan must be the one that is loaded. */
export const prepareFromFolder =
  (folder: CompiledFolder): Prepare =>
  async (plan, { computeCapability }) => {
    if (plan.hash !== folder.plan.hash) {
      throw new WeftError([
        userProblem("compiled", "the folder must be compiled from the plan that is loaded", {
          given: `the plan ${folder.plan.hash.slice(0, 12)} instead of ${plan.hash.slice(0, 12)}`,
          location: folder.directory,
          remedy: "compile it again with the model, capacity, chunk and dtype of this run",
        }),
      ]);
    }
    return { cudaPlan: folder.cudaPlan, images: folder.imagesFor(computeCapability) };
  };

/** Emits the plan's kernels and compiles for the device what the cache does not hold. */
export const prepareByCompiling =
  (compiler: Compiler, cache: KernelCache): Prepare =>
  async (plan, { computeCapability }) => {
    const target = targetFor(computeCapability);
    if (target === undefined) {
      throw new WeftError([
        unsupportedProblem("target", `the GPU must execute one of ${targetNames.join(", ")}`, {
          given: `compute capability ${(computeCapability / 10).toFixed(1)}`,
        }),
      ]);
    }
    const cudaPlan = emitCuda(plan);
    const [compiled] = await compileAhead(cudaPlan, compiler, [target], { cache });
    return { cudaPlan, images: compiled!.images };
  };
