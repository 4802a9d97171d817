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
import type { DeviceFacts, MatmulLibraryFacts } from "./facts.ts";

declare const handle: unique symbol;
/** Opaque: made by the addon, given back to it. */
export interface DeviceHandle {
  readonly [handle]: "device";
}
export interface CompiledHandle {
  readonly [handle]: "compiled";
}

/** A call that a recording device was asked for; its numbers (bytes, blocks, threads, ...) are by name. */
export interface RecordedCall {
  readonly name: string;
  readonly text?: string;
  readonly bytes?: number;
  readonly blocks?: number;
  readonly threads?: number;
  readonly shared?: number;
  readonly value?: number;
  /** 1 for a launch that may start before the one in front has ended. */
  readonly overlaps?: number;
  /** Of a product. */
  readonly rows?: number;
  readonly columns?: number;
  readonly contracted?: number;
  /**
   * The argument of a launch, in words of 8 bytes. Of a product: x, its stride, the weight, its stride, the output, its
   * stride, the addend, its stride, whether the output is bf16, the alignment of all, the workspace.
   */
  readonly words?: readonly number[];
  readonly isCaptured?: true;
}

export interface Recorded {
  readonly calls: readonly RecordedCall[];
  /** What was made and not given back: device, pinned, stream, event, module, graph. */
  readonly live: Readonly<Record<string, number>>;
}

export interface Addon extends SharedAddon {
  openDevice(kind: string, options: object): Promise<DeviceHandle>;
  deviceFacts(device: DeviceHandle): DeviceFacts;
  takeCalls(device: DeviceHandle): Recorded;
  disposeDevice(device: DeviceHandle): void;
  prepareCuda(plan: PlanHandle, cudaPlan: unknown): CompiledHandle;
  echoCudaPlan(cudaPlan: unknown): unknown;
  predict(device: DeviceHandle, compiled: CompiledHandle): MemoryTable;
  aboutMatmulLibrary(device: DeviceHandle): MatmulLibraryFacts;
  describeMatmulLibrary(driverVersion: number): { path: string; version: string };
  libraryChoices(
    executable: ExecutableHandle,
  ): { program: string; step: number; leastRows: number; isNvfp4: boolean; refusal: string }[];
  load(
    device: DeviceHandle,
    compiled: CompiledHandle,
    images: readonly Uint8Array[],
    weights: readonly BoundWeight[],
    options: { memoryLimitBytes: number; checkWeights: boolean; toolkitVersion?: string },
    onProgress: ((done: number, total: number) => void) | undefined,
  ): Promise<ExecutableHandle>;
  compileText(
    path: string,
    text: string,
    name: string,
    arch: string,
    options: readonly string[],
  ): Promise<{ image?: Uint8Array; log: string }>;
  listCompilers(): { path: string; major: number; minor: number; architectures: number[] }[];
}

/** The same place seen from src/ and from dist/. WEFT_CUDA_ADDON names another build (the sanitizers'). */
function addonPath(): string {
  return (
    process.env.WEFT_CUDA_ADDON ?? fileURLToPath(new URL("../build/Release/weft_cuda.node", import.meta.url))
  );
}

let loaded: Addon | undefined;

/** Loads the addon at first use, so that importing this package never fails. */
export function addon(): Addon {
  loaded ??= loadAddon<Addon>("runtime-cuda", addonPath());
  return loaded;
}
