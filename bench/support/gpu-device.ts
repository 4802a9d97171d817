/** A GPU or the simulated one for checks and benchmarks, with kernels compiled at load. */
import { type CudaPlan, emitCuda, type Plan, preludeFolder } from "@weft/compiler";
import { WeftError } from "@weft/dsl";
import {
  type Compiler,
  type CudaDevice,
  compileForHost,
  compileWithNvrtc,
  cudaDevice,
  type DeviceFacts,
  describeNvrtc,
  findHostCompiler,
  KernelCache,
  nvccCompiler,
  nvrtcFlags,
  type PreparedCuda,
  prepareByCompiling,
  simulatedDevice,
} from "@weft/runtime-cuda";

export const gpuNames = ["cuda", "cuda-sim"] as const;
export type GpuName = (typeof gpuNames)[number];

export interface OpenGpuOptions {
  /** Changes the kernel text that is compiled, for checks of what happens then. Nothing is kept in the cache. */
  readonly edit?: (source: string) => string;
  readonly memoryLimitBytes?: number;
  readonly waitSeconds?: number;
}

/** @throws WeftError where there is no driver or no GPU, with the places tried. */
export function openGpu(name: GpuName, { edit, ...options }: OpenGpuOptions = {}): Promise<CudaDevice> {
  if (name === "cuda-sim")
    return simulatedDevice({ prepare: (plan) => simulated(plan, edit), emit, ...options });
  return cudaDevice({ prepare: (plan, facts) => compiled(plan, facts, edit), emit, ...options });
}

const emit = (plan: Plan): CudaPlan => emitCuda(plan);

async function compiled(plan: Plan, facts: DeviceFacts, edit: OpenGpuOptions["edit"]): Promise<PreparedCuda> {
  const compiler = await gpuCompiler();
  if (edit === undefined) return prepareByCompiling(compiler, new KernelCache())(plan, facts);
  const edited: Compiler = {
    ...compiler,
    compile: (source, target) => compiler.compile(edit(source), target),
  };
  return prepareByCompiling(edited, new KernelCache({ directory: "" }))(plan, facts);
}

/** NVRTC, which needs no toolkit; nvcc where it is all that there is. */
export async function gpuCompiler(): Promise<Compiler> {
  try {
    const { version } = describeNvrtc();
    return {
      name: "nvrtc",
      version,
      flags: nvrtcFlags,
      compile: async (source, target) => {
        const image = await compileWithNvrtc({ file: "kernels.cu", source }, target);
        return { image, log: "" };
      },
    };
  } catch (error) {
    if (!(error instanceof WeftError)) throw error;
    return nvccCompiler().catch((other) => {
      throw other instanceof WeftError
        ? new WeftError([error.problems[0], ...error.problems.slice(1), ...other.problems])
        : other;
    });
  }
}

/** By text: several checks load the same plan. */
const simulatedImages = new Map<string, Promise<Uint8Array>>();

async function simulated(plan: Plan, edit: OpenGpuOptions["edit"]): Promise<PreparedCuda> {
  const cudaPlan = emitCuda(plan);
  const compiler = await findHostCompiler();
  const images = cudaPlan.modules.map(({ name, source }) => {
    const text = edit?.(source) ?? source;
    const known = simulatedImages.get(text);
    if (known !== undefined) return known;
    const image = compileForHost(
      { file: `${name}.cu`, source: text, includeFolders: [preludeFolder] },
      compiler,
    );
    simulatedImages.set(text, image);
    return image;
  });
  return { cudaPlan, images: await Promise.all(images) };
}
