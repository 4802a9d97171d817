/** Devices with everything that they need: kernels are emitted, compiled once, and kept in the cache. */
import { emitCuda, type Plan } from "@weft/compiler";
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
export function openGpu({ compiled, cache, ...options }: OpenGpuOptions = {}): Promise<CudaDevice> {
  const preparation = compiled === undefined ? compiledBy(gpuCompiler, cache) : fromFolder(compiled);
  return cudaDevice({ ...options, ...preparation });
}

/**
 * Opens a simulated GPU, which executes the same kernels slowly and looks for mistakes in them.
 * @throws WeftError where the native part is not built.
 */
export function openSimulator({ cache, ...options }: OpenSimulatorOptions = {}): Promise<CudaDevice> {
  return simulatedDevice({ ...options, ...compiledBy(hostKernelCompiler, cache) });
}

const emit = (plan: Plan) => emitCuda(plan);

function fromFolder(compiled: CompiledFolder): PreparationOptions {
  return {
    prepare: prepareFromFolder(compiled),
    emit: (plan) => (plan.hash === compiled.plan.hash ? compiled.cudaPlan : emit(plan)),
  };
}

/** The compiler is looked for when the first plan is loaded; where there is none, again when the next one is. */
function compiledBy(
  find: (facts: DeviceFacts) => Promise<Compiler>,
  options: KernelCacheOptions | undefined,
): PreparationOptions {
  const cache = new KernelCache(options);
  let found: Promise<Compiler> | undefined;
  return {
    prepare: async (plan, facts) => {
      found ??= find(facts).catch((error: unknown) => {
        found = undefined;
        throw error;
      });
      return prepareByCompiling(await found, cache)(plan, facts);
    },
    emit,
  };
}
