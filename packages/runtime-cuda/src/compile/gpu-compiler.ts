/** The compiler for the kernels of a GPU that is there. */
import { type Problem, userProblem, WeftError } from "@weft/dsl";
import type { DeviceFacts } from "../facts.ts";
import type { CudaCompiler } from "./compiler.ts";
import { driverMajor, driverVersionText, loadsImagesOf } from "./driver-version.ts";
import { nvccCompiler } from "./nvcc.ts";
import { nvrtcCompiler } from "./nvrtc.ts";
import { targetFor } from "./targets.ts";

/**
 * NVRTC, which is quick and needs no toolkit; nvcc where NVRTC is absent, too new for the driver or too old for the GPU.
 * @throws WeftError with what is wrong with each where neither serves
 */
export async function gpuCompiler({
  driverVersion,
  computeCapability,
}: Pick<DeviceFacts, "driverVersion" | "computeCapability">): Promise<CudaCompiler> {
  const target = targetFor(computeCapability);
  const ways = [
    () => nvrtcCompiler({ driverVersion, ...(target === undefined ? {} : { target }) }),
    () => nvccFor(driverVersion, target),
  ];
  const problems: Problem[] = [];
  for (const find of ways) {
    try {
      return await find();
    } catch (error) {
      if (!(error instanceof WeftError)) throw error;
      problems.push(...error.problems);
    }
  }
  throw new WeftError(problems as [Problem, ...Problem[]]);
}

async function nvccFor(driverVersion: number, target: string | undefined): Promise<CudaCompiler> {
  const compiler = await nvccCompiler(target === undefined ? {} : { target });
  if (loadsImagesOf(driverVersion, compiler.toolkitVersion)) return compiler;
  throw new WeftError([
    userProblem("nvcc", "the driver must support nvcc's CUDA version", {
      given: `nvcc ${compiler.version} and a driver for CUDA ${driverVersionText(driverVersion)}`,
      remedy: `update the NVIDIA driver, or name nvcc of CUDA ${driverMajor(driverVersion)} in WEFT_NVCC`,
    }),
  ]);
}
