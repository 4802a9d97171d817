/** Devices with everything that they need: kernels are emitted, compiled once, and kept in the cache. */
import { emitCuda, type Fp4Products, type Plan } from "@weft/compiler";
import { userProblem, WeftError } from "@weft/dsl";
import type { Compiler } from "./compile/compiler.ts";
import { gpuCompiler } from "./compile/gpu-compiler.ts";
import { hostKernelCompiler } from "./compile/host-compiler.ts";
import { KernelCache, type KernelCacheOptions } from "./compile/kernel-cache.ts";
import { prepareByCompiling, prepareFromFolder } from "./compile/prepare.ts";
import type { CompiledFolder } from "./compile/read-compiled.ts";
import { type CudaDevice, cudaDevice, simulatedDevice } from "./device.ts";
import type { DeviceFacts } from "./facts.ts";
import type { CudaOptions, PreparationOptions, SimulatedOptions } from "./options.ts";

export interface KernelOptions {
  /** Where compiled kernels are kept; default: WEFT_CACHE_DIR, else the user's cache directory. */
  readonly cache?: KernelCacheOptions;
  /**
   * Who multiplies two matrices of NVFP4 (weights and `activations` in NVFP4) where there are 128 rows or more: "hardware"
   * is the GPU's units for FP4, through cuBLASLt. They begin with compute capability 10.0 and CUDA 12.8; loading a plan is
   * refused where they are missing, or where it has no such products. Default: "emulated", by the values of the codes.
   * No GPU with such units has run it yet.
   */
  readonly fp4?: Fp4Products;
}

export interface OpenGpuOptions extends Omit<CudaOptions, "prepare" | "emit">, KernelOptions {
  /** Kernels that `weft compile` made: nothing is compiled then, and only the driver is needed. */
  readonly compiled?: CompiledFolder;
}

export type OpenSimulatorOptions = Omit<SimulatedOptions, "prepare" | "emit"> & KernelOptions;

/**
 * Opens a GPU.
 * @throws WeftError when there is no driver or no such GPU. Whether there is a compiler is asked when a plan is loaded.
 * @example
 * using device = await openGpu();
 * using model = await openQwen3("models/Qwen3-4B", { device, dtype: "bf16" });
 */
export async function openGpu({
  compiled,
  cache,
  fp4,
  ...options
}: OpenGpuOptions = {}): Promise<CudaDevice> {
  if (compiled !== undefined && fp4 !== undefined)
    throw new WeftError([
      userProblem("runtime-cuda", "fp4 must be left out for kernels that were compiled before", {
        given: fp4,
        remedy: "compile them with `weft compile --fp4`, which decides it",
      }),
    ]);
  const preparation = compiled === undefined ? compiledBy(gpuCompiler, { cache, fp4 }) : fromFolder(compiled);
  return cudaDevice({ ...options, ...preparation });
}

/**
 * Opens a simulated GPU, which executes the same kernels slowly and looks for mistakes in them.
 * @throws WeftError where the native part is not built.
 */
export async function openSimulator({
  cache,
  fp4,
  ...options
}: OpenSimulatorOptions = {}): Promise<CudaDevice> {
  return simulatedDevice({ ...options, ...compiledBy(hostKernelCompiler, { cache, fp4 }) });
}

function fromFolder(compiled: CompiledFolder): PreparationOptions {
  return {
    prepare: prepareFromFolder(compiled),
    emit: (plan) => (plan.hash === compiled.plan.hash ? compiled.cudaPlan : emitCuda(plan)),
  };
}

/** The compiler is looked for when the first plan is loaded; where there is none, again when the next one is. */
function compiledBy(
  find: (facts: DeviceFacts) => Promise<Compiler>,
  { cache: options, fp4 = "emulated" }: { [Name in keyof KernelOptions]: KernelOptions[Name] | undefined },
): PreparationOptions {
  if (fp4 !== "emulated" && fp4 !== "hardware")
    throw new WeftError([
      userProblem("runtime-cuda", 'fp4 must be "emulated" or "hardware"', { given: String(fp4) }),
    ]);
  const cache = new KernelCache(options);
  let found: Promise<Compiler> | undefined;
  return {
    prepare: async (plan, facts) => {
      found ??= find(facts).catch((error: unknown) => {
        found = undefined;
        throw error;
      });
      return prepareByCompiling(await found, cache, { fp4 })(plan, facts);
    },
    emit: (plan: Plan) => emitCuda(plan, { fp4 }),
  };
}
