/** The native addon as it is; everything public stands on it. */
import { fileURLToPath } from "node:url";
import {
  type BoundWeight,
  type ExecutableHandle,
  loadAddon,
  type MemoryTable,
  type PlanHandle,
  type SharedAddon,
} from "@weft/runtime";

declare const handle: unique symbol;
/** Opaque: made by the addon, given back to it. */
export interface DeviceHandle {
  readonly [handle]: "device";
}

export interface Addon extends SharedAddon {
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
  nvfp4Encode(
    values: Uint8Array,
    dtype: string,
    encodeScale: number,
    fourOverSix: boolean,
    codes?: Uint8Array,
    scales?: Uint8Array,
  ): { codes: Uint8Array; scales: Uint8Array };
  fp8Encode(values: Uint8Array, dtype: string, columns: number): { codes: Uint8Array; scales: Float32Array };
  nvfp4Decode(codes: Uint8Array, scales: Uint8Array): Float32Array;
  nvfp4Statistics(
    values: Uint8Array,
    dtype: string,
    codes: Uint8Array,
    scales: Uint8Array,
    tensorScale: number,
  ): { zeroBlocks: number; amax: number; error: number; power: number };
  amax(values: Uint8Array, dtype: string): number;
  measureReadBandwidth(threads: number, bytes: number): Promise<number>;
  measureMultiplyAddRate(threads: number): Promise<number>;
  load(
    device: DeviceHandle,
    plan: PlanHandle,
    weights: readonly BoundWeight[],
    options: { memoryLimitBytes: number; checkWeights: boolean },
  ): Promise<ExecutableHandle>;
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
  loaded ??= loadAddon<Addon>("runtime-cpu", addonPath());
  return loaded;
}
