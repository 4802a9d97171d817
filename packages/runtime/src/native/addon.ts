/** What the addons of all devices have in common: packages/runtime/native/node. */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import type { PlanDtype } from "@weft/compiler";
import { userProblem, WeftError } from "@weft/dsl";
import type { InputArray, MemoryTable, OutputArray } from "../device.ts";
import type { WantedWeight } from "../weights.ts";

declare const handle: unique symbol;
/** Opaque: made by an addon, given back to it. */
export interface PlanHandle {
  readonly [handle]: "plan";
}
export interface ExecutableHandle {
  readonly [handle]: "executable";
}

export interface NativeRun {
  readonly outputs: Record<string, OutputArray>;
  /** Of a profile: nanoseconds by step. */
  readonly times?: Float64Array;
  /** Of a profile: begin, end and waited, [lane][step]. */
  readonly spans?: Float64Array;
}

export interface SharedAddon {
  preparePlan(plan: unknown): PlanHandle;
  echoPlan(plan: unknown): unknown;
  weightsOf(plan: PlanHandle): WantedWeight[];
  run(
    executable: ExecutableHandle,
    program: string,
    symbols: Readonly<Record<string, number>>,
    inputs: Readonly<Record<string, InputArray>>,
    outputs: Readonly<Record<string, OutputArray>> | undefined,
    profile: boolean,
  ): Promise<NativeRun>;
  /** By program: how many of its runs may be under way, all others awaited. */
  runsAhead(executable: ExecutableHandle): number[];
  memory(executable: ExecutableHandle): MemoryTable;
  reset(executable: ExecutableHandle): Promise<void>;
  shiftState(executable: ExecutableHandle, count: number): Promise<void>;
  saveState(executable: ExecutableHandle): Promise<Uint8Array>;
  restoreState(executable: ExecutableHandle, saved: Uint8Array): Promise<void>;
  readState(executable: ExecutableHandle, name: string): Promise<Uint8Array>;
  writeState(
    executable: ExecutableHandle,
    name: string,
    values: Uint8Array,
    dtype: PlanDtype,
    at: number,
  ): Promise<void>;
  disposeExecutable(executable: ExecutableHandle): void;
}

/** @throws WeftError when the addon is not built, or does not load. */
export function loadAddon<T extends SharedAddon>(source: string, path: string): T {
  try {
    return createRequire(import.meta.url)(path) as T;
  } catch (error) {
    const requirement = existsSync(path) ? "the native addon must load" : "the native addon must be built";
    throw new WeftError(
      [
        userProblem(source, requirement, {
          given: existsSync(path) ? (error as Error).message : "no file",
          location: path,
          remedy: "run `npm run build`",
        }),
      ],
      { cause: error },
    );
  }
}
