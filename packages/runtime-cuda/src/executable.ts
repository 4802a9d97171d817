/** A plan loaded on a GPU, which can tell who multiplies its large matrices. */
import type { Plan } from "@weft/compiler";
import { type Executable, type ExecutableHandle, NativeExecutable, nativeCall } from "@weft/runtime";
import { type Addon, addon } from "./addon.ts";

/** A step whose products a library could compute. */
export interface MatmulStep {
  readonly program: string;
  /** Index into the program's steps. */
  readonly step: number;
  /** Name of the plan's kernel. */
  readonly kernel: string;
  readonly by: "library" | "own";
  /** Why it is not the library; else from how many rows on it is. */
  readonly reason: string;
}

export interface CudaExecutable extends Executable {
  /** Of every program: the steps that the compiler offers a library. */
  readonly matmulSteps: readonly MatmulStep[];
}

export class NativeCudaExecutable extends NativeExecutable implements CudaExecutable {
  readonly matmulSteps: readonly MatmulStep[];

  constructor(source: string, native: Addon, handle: ExecutableHandle, plan: Plan) {
    super(source, native, handle, plan, "stream");
    const kernelOf = (program: string, step: number): string => {
      const planned = plan.programs.find(({ name }) => name === program)?.steps[step];
      return planned === undefined ? "" : plan.kernels[planned.kernel]!.name;
    };
    this.matmulSteps = nativeCall(source)(() => native.libraryChoices(handle)).map(
      ({ program, step, leastRows, isNvfp4, refusal }) => ({
        program,
        step,
        kernel: kernelOf(program, step),
        by: refusal === "" ? "library" : "own",
        reason: refusal === "" ? `from ${leastRows} rows on${isNvfp4 ? ", in units for FP4" : ""}` : refusal,
      }),
    );
  }
}

/** CUDA 13.0, which this was written against: what to look for where no driver says its own. */
const usualDriver = 13000;

/**
 * The cuBLASLt that a GPU would use; none is needed to ask.
 * @param driverVersion as `DeviceFacts.driverVersion`
 * @throws WeftError with the places tried when there is none.
 */
export function describeCublasLt(driverVersion = usualDriver): {
  readonly path: string;
  readonly version: string;
} {
  return nativeCall("runtime-cuda")(() => addon().describeMatmulLibrary(driverVersion));
}
