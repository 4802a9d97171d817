/** Options of the devices of this package. */
import type { CudaPlan, Plan } from "@weft/compiler";
import type { DeviceFacts } from "./facts.ts";

/** A plan made ready for a GPU. */
export interface PreparedCuda {
  readonly cudaPlan: CudaPlan;
  /** One for each of `cudaPlan.modules`: a cubin, or what the simulator's compiler made. */
  readonly images: readonly Uint8Array[];
  /** CUDA version of the compiler, "13.0", where it is known: told when the driver refuses an image. */
  readonly toolkitVersion?: string;
}

export interface PreparationOptions {
  /** Emits and compiles the kernels of a plan, or finds those that were compiled before. */
  readonly prepare: (plan: Plan, facts: DeviceFacts) => Promise<PreparedCuda>;
  /**
   * The first half of `prepare`, without compiling: what `predictMemory` needs of a plan that was not loaded yet.
   * Without it, memory is predicted for plans that this device has loaded.
   */
  readonly emit?: (plan: Plan, facts: DeviceFacts) => CudaPlan;
}

export interface ExecutionOptions {
  /** Refuses plans that need more bytes of the device's memory in total. Default: what is free. */
  readonly memoryLimitBytes?: number;
  /** Looks for NaN and infinity in weights while loading. Default: true. */
  readonly checkWeights?: boolean;
  /** Work that takes longer counts as hung: the device is then lost. Default: 60. */
  readonly waitSeconds?: number;
  /** Waits after every kernel, so that an error names the one that made it. Slow; no graphs. Default: false. */
  readonly waitForEachLaunch?: boolean;
  /**
   * Lets each kernel start before the one in front has ended (programmatic dependent launch); kernels fetch weights
   * meanwhile and wait for their inputs themselves. Ignored below compute capability 9.0, and with a driver for a CUDA
   * version below 12.3, which cannot capture such launches. Default: false, until it was measured.
   */
  readonly overlapLaunches?: boolean;
  /**
   * Who multiplies large matrices: "auto" is a library where there is one that takes them (cuBLASLt on a GPU; the
   * simulator and the recorder have one of their own), "own" always the plan's kernels. Default: "auto" on a GPU, "own"
   * elsewhere.
   */
  readonly matmulLibrary?: "auto" | "own";
}

export interface CudaOptions extends PreparationOptions, ExecutionOptions {
  /** Which GPU, as the driver counts them. Default: 0. */
  readonly index?: number;
}

export interface SimulatedOptions extends PreparationOptions, ExecutionOptions {
  /** Of the order in which threads and blocks run. Default: that of WEFT_SIM_SEED, or 1. */
  readonly seed?: number;
  /** Memory of the device. Default: 2 GiB. */
  readonly totalBytes?: number;
  readonly multiprocessors?: number;
  /** What it says of itself, 9.0 as 90; kernels run the same. Default: 90. */
  readonly computeCapability?: number;
  /** A launch is stopped after so long. Default: 120. */
  readonly launchSeconds?: number;
  /** Failures of kernels show in later calls, as on a real device. Default: false. */
  readonly lateFailures?: boolean;
}

/** A call that fails: the `at`-th of its name, from 1, and the following `times - 1`. */
export interface Fault {
  readonly call: string;
  readonly at?: number;
  readonly times?: number;
  /** A CUresult. 600, not ready, from `query_event` is work that does not end. */
  readonly status: number;
}

export interface RecordingOptions extends PreparationOptions, ExecutionOptions {
  readonly facts?: Partial<DeviceFacts>;
  readonly faults?: readonly Fault[];
}
