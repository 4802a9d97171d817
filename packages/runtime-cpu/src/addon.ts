/** The native addon as it is; everything public stands on it. */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { userProblem, WeftError } from "@weft/dsl";
import type { BoundWeight, InputArray, MemoryTable, OutputArray, WantedWeight } from "@weft/runtime";

declare const handle: unique symbol;
/** Opaque: made by the addon, given back to it. */
export interface PlanHandle {
  readonly [handle]: "plan";
}
export interface DeviceHandle {
  readonly [handle]: "device";
}
export interface ExecutableHandle {
  readonly [handle]: "executable";
}

export interface NativeRun {
  readonly outputs: Record<string, OutputArray>;
  readonly times?: Float64Array;
}

export interface Addon {
  preparePlan(plan: unknown): PlanHandle;
  echoPlan(plan: unknown): unknown;
  weightsOf(plan: PlanHandle): WantedWeight[];
  describe(): {
    isa: string;
    available: string[];
    logicalProcessors: number;
    physicalCores: number;
    maxThreads: number;
  };
  createDevice(threads: number, isa: string): DeviceHandle;
  disposeDevice(device: DeviceHandle): void;
  predict(
    plan: PlanHandle,
    threads: number,
    isa: string,
    weights: readonly BoundWeight[] | undefined,
  ): MemoryTable;
  load(
    device: DeviceHandle,
    plan: PlanHandle,
    weights: readonly BoundWeight[],
    options: { memoryLimitBytes: number; checkWeights: boolean },
  ): Promise<ExecutableHandle>;
  run(
    executable: ExecutableHandle,
    program: string,
    symbols: Readonly<Record<string, number>>,
    inputs: Readonly<Record<string, InputArray>>,
    outputs: Readonly<Record<string, OutputArray>> | undefined,
    profile: boolean,
  ): Promise<NativeRun>;
  memory(executable: ExecutableHandle): MemoryTable;
  reset(executable: ExecutableHandle): Promise<void>;
  dropOldest(executable: ExecutableHandle, axisIndex: number, count: number): Promise<void>;
  saveState(executable: ExecutableHandle): Uint8Array;
  restoreState(executable: ExecutableHandle, saved: Uint8Array): void;
  disposeExecutable(executable: ExecutableHandle): void;
}

/** The same place seen from src/ and from dist/. WEFT_CPU_ADDON names another build (the sanitizers'). */
function addonPath(): string {
  return (
    process.env.WEFT_CPU_ADDON ?? fileURLToPath(new URL("../build/Release/weft_cpu.node", import.meta.url))
  );
}

let loaded: Addon | undefined;

/** Loads the addon at first use, so that importing this package never fails. */
export function addon(): Addon {
  if (loaded) return loaded;
  const path = addonPath();
  try {
    loaded = createRequire(import.meta.url)(path) as Addon;
    return loaded;
  } catch (error) {
    const requirement = existsSync(path) ? "the native addon must load" : "the native addon must be built";
    throw new WeftError(
      [
        userProblem("runtime-cpu", requirement, {
          given: existsSync(path) ? (error as Error).message : "no file",
          location: path,
          remedy: "run `npm run build`",
        }),
      ],
      { cause: error },
    );
  }
}
