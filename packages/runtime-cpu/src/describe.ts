import { addon } from "./addon.ts";

/** What this process may use of the processor, and what will be used. */
export interface CpuDescription {
  /** The instruction set that is used unless another is asked for. */
  readonly isa: string;
  /** All instruction sets that run here, slowest first; those ending in `-emulated` are for tests. */
  readonly available: readonly string[];
  /** Processors that this process may run on (affinity and control group respected). */
  readonly logicalProcessors: number;
  /** Distinct cores among them: the default number of threads. */
  readonly physicalCores: number;
  /** The largest number of threads that may be asked for. */
  readonly maxThreads: number;
}

/** @throws WeftError when the addon is not built. */
export function describeCpu(): CpuDescription {
  return addon().describe();
}
