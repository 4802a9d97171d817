/** A GPU or the simulated one, by name, for checks and benchmarks. */
import {
  type Compiler,
  type CudaDevice,
  cudaDevice,
  gpuCompiler,
  hostKernelCompiler,
  KernelCache,
  type OpenGpuOptions,
  openGpu,
  openSimulator,
  type PreparationOptions,
  prepareByCompiling,
  simulatedDevice,
} from "@weft/runtime-cuda";

export const gpuNames = ["cuda", "cuda-sim"] as const;
export type GpuName = (typeof gpuNames)[number];

/** @throws WeftError where there is no driver or no GPU, with the places tried. */
export const openByName = (
  name: GpuName,
  options: Pick<OpenGpuOptions, "overlapLaunches" | "matmulLibrary"> = {},
): Promise<CudaDevice> => (name === "cuda" ? openGpu(options) : openSimulator(options));

/** A device whose kernels are changed before they are compiled, for checks of what happens then; nothing is cached. */
export async function openEdited(name: GpuName, edit: (source: string) => string): Promise<CudaDevice> {
  const prepare: PreparationOptions["prepare"] = async (plan, facts) => {
    const compiler: Compiler = await (name === "cuda" ? gpuCompiler(facts) : hostKernelCompiler());
    const edited: Compiler = {
      ...compiler,
      compile: (source, target) => compiler.compile(edit(source), target),
    };
    return prepareByCompiling(edited, new KernelCache({ directory: "" }))(plan, facts);
  };
  return name === "cuda" ? cudaDevice({ prepare }) : simulatedDevice({ prepare });
}
