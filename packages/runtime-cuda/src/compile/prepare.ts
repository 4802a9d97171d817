/** A plan made ready for a device: from a folder that was compiled ahead of time, or by a compiler and the cache. */
import { type CudaEmitOptions, emitCuda, type Plan } from "@weft/compiler";
import { unsupportedProblem, userProblem, WeftError } from "@weft/dsl";
import type { PreparedCuda } from "../options.ts";
import { compileAhead } from "./compile-ahead.ts";
import type { Compiler, CudaCompiler } from "./compiler.ts";
import type { KernelCache } from "./kernel-cache.ts";
import type { CompiledFolder } from "./read-compiled.ts";
import { requireFp4Target, targetFor, targetNames } from "./targets.ts";

/** Of a device: 9.0 is 90; and of its driver, where it is known: 13.0 is 13000. */
interface Capable {
  readonly computeCapability: number;
  readonly driverVersion?: number;
}

type Prepare = (plan: Plan, device: Capable) => Promise<PreparedCuda>;

/** Takes the images of a folder; its plan must be the one that is loaded. */
export const prepareFromFolder =
  (folder: CompiledFolder): Prepare =>
  async (plan, { computeCapability, driverVersion }) => {
    if (plan.hash !== folder.plan.hash) {
      throw new WeftError([
        userProblem("compiled", "the folder must be compiled from the plan that is loaded", {
          given: `the plan ${folder.plan.hash.slice(0, 12)} instead of ${plan.hash.slice(0, 12)}`,
          location: folder.directory,
          remedy: "compile it again with the model, capacity, chunk and dtype of this run",
        }),
      ]);
    }
    return {
      cudaPlan: folder.cudaPlan,
      images: folder.imagesFor(computeCapability, driverVersion),
      toolkitVersion: folder.manifest.compiler.toolkitVersion,
    };
  };

/**
 * Emits the plan's kernels and compiles for the device what the cache does not hold.
 * @throws WeftError, when called, for units for FP4 that the device lacks or the plan has nothing for
 */
export const prepareByCompiling =
  (compiler: Compiler | CudaCompiler, cache: KernelCache, options: CudaEmitOptions = {}): Prepare =>
  async (plan, { computeCapability }) => {
    const target = targetFor(computeCapability);
    if (target === undefined) {
      throw new WeftError([
        unsupportedProblem("target", `the GPU must execute one of ${targetNames.join(", ")}`, {
          given: `compute capability ${(computeCapability / 10).toFixed(1)}`,
        }),
      ]);
    }
    if (options.fp4 === "hardware") requireFp4Target(target);
    const cudaPlan = emitCuda(plan, options);
    const [compiled] = await compileAhead(cudaPlan, compiler, [target], { cache });
    return {
      cudaPlan,
      images: compiled!.images,
      ...("toolkitVersion" in compiler ? { toolkitVersion: compiler.toolkitVersion } : {}),
    };
  };
