/** A GPU or the simulated one, by name, for checks and benchmarks. */
import { WeftError } from "@weft/dsl";
import {
  type Compiler,
  type CudaDevice,
  cudaDevice,
  hostKernelCompiler,
  KernelCache,
  nvccCompiler,
  nvrtcCompiler,
  type OpenGpuOptions,
  openGpu,
  openSimulator,
  prepareByCompiling,
  simulatedDevice,
} from "@weft/runtime-cuda";

export const gpuNames = ["cuda", "cuda-sim"] as const;
export type GpuName = (typeof gpuNames)[number];

/** @throws WeftError where there is no driver or no GPU, with the places tried. */
export const openByName = (
  name: GpuName,
  options: Pick<OpenGpuOptions, "overlapLaunches"> = {},
): Promise<CudaDevice> => (name === "cuda" ? openGpu(options) : openSimulator(options));

/** A device whose kernels are changed before they are compiled, for checks of what happens then; nothing is cached. */
export async function openEdited(name: GpuName, edit: (source: string) => string): Promise<CudaDevice> {
  const compiler = await compilerOf(name);
  const edited: Compiler = {
    ...compiler,
    compile: (source, target) => compiler.compile(edit(source), target),
  };
  const prepare = prepareByCompiling(edited, new KernelCache({ directory: "" }));
  return name === "cuda" ? cudaDevice({ prepare }) : simulatedDevice({ prepare });
}

/** The one that the device by this name compiles with. */
async function compilerOf(name: GpuName): Promise<Compiler> {
  if (name === "cuda-sim") return hostKernelCompiler();
  try {
    return nvrtcCompiler();
  } catch (error) {
    if (!(error instanceof WeftError)) throw error;
    return nvccCompiler();
  }
}
