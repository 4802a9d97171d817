/** Devices that execute plans by CUDA kernels: a GPU, a simulated one, and one that only writes down what it is asked. */
import type { Plan } from "@weft/compiler";
import { userProblem, WeftError } from "@weft/dsl";
import {
  type BoundWeight,
  boundWeights,
  checkedCount,
  type Device,
  type LoadOptions,
  type MemoryTable,
  memoryLimit,
  nativeCall,
  type PlanHandle,
  type PredictOptions,
  type WeightSource,
} from "@weft/runtime";
import { type Addon, addon, type CompiledHandle, type DeviceHandle, type Recorded } from "./addon.ts";
import { type CudaExecutable, NativeCudaExecutable } from "./executable.ts";
import type { DeviceFacts, MatmulLibraryFacts } from "./facts.ts";
import type {
  CudaOptions,
  ExecutionOptions,
  PreparationOptions,
  RecordingOptions,
  SimulatedOptions,
} from "./options.ts";

const source = "runtime-cuda";
const native = nativeCall(source);

export interface CudaDevice extends Device {
  readonly facts: DeviceFacts;
  readonly matmulLibrary: MatmulLibraryFacts;
  load(plan: Plan, weights: WeightSource, options?: LoadOptions): Promise<CudaExecutable>;
}

/** A device that executes nothing: what the host asks of a driver, for tests. */
export interface RecordingDevice extends CudaDevice {
  /** The calls since the last time, and what is not given back. Also after dispose. */
  takeCalls(): Recorded;
}

/**
 * Opens a GPU.
 * @throws WeftError when there is no driver (with the places tried), when it is too old, or there is no such GPU.
 * @example
 * using device = await cudaDevice({ prepare });
 * using executable = await device.load(plan, weights);
 * const { outputs } = await executable.run("decode", { symbols: { past: 3 }, inputs: { tokens } });
 */
export function cudaDevice(options: CudaOptions): Promise<CudaDevice> {
  const index = checkedCount(source, "index", options.index ?? 0, 0, 255);
  const matmulLibrary = options.matmulLibrary ?? "auto";
  return NativeDevice.open("cuda", "cuda", { index }, { ...options, matmulLibrary });
}

/**
 * A GPU simulated on the processor: the same kernels, thread by thread, every access checked. Slow, and right.
 * @example
 * using device = await simulatedDevice({ prepare });
 */
export function simulatedDevice(options: SimulatedOptions): Promise<CudaDevice> {
  const { seed, totalBytes, multiprocessors, computeCapability, launchSeconds, lateFailures } = options;
  const own = { seed, totalBytes, multiprocessors, computeCapability, launchSeconds, lateFailures };
  return NativeDevice.open("cuda-sim", "cuda-sim", own, options);
}

const recordedFacts: DeviceFacts = {
  name: "recorded GPU",
  computeCapability: 90,
  multiprocessors: 132,
  sharedBytesPerBlock: 232448,
  totalBytes: 80 * 2 ** 30,
  freeBytes: 79 * 2 ** 30,
  driverVersion: 13000,
};

export function recordingDevice(options: RecordingOptions): Promise<RecordingDevice> {
  const faults = (options.faults ?? []).map((fault) => ({ at: 1, times: 1, ...fault }));
  const facts = { ...recordedFacts, ...options.facts };
  return NativeDevice.open("recording", "cuda-recording", { facts, faults }, options);
}

class NativeDevice implements RecordingDevice {
  readonly name: string;
  readonly facts: DeviceFacts;
  readonly matmulLibrary: MatmulLibraryFacts;
  readonly #native: Addon;
  readonly #options: PreparationOptions & ExecutionOptions;
  readonly #handle: DeviceHandle;
  /** What the CUDA plans of loaded plans take, by the plans' hashes. */
  readonly #predicted = new Map<string, MemoryTable>();

  private constructor(
    name: string,
    library: Addon,
    handle: DeviceHandle,
    options: PreparationOptions & ExecutionOptions,
  ) {
    this.name = name;
    this.#native = library;
    this.#options = options;
    this.#handle = handle;
    this.facts = library.deviceFacts(handle);
    this.matmulLibrary = library.aboutMatmulLibrary(handle);
  }

  static async open(
    kind: string,
    name: string,
    own: object,
    options: PreparationOptions & ExecutionOptions,
  ): Promise<NativeDevice> {
    memoryLimit(source, options.memoryLimitBytes);
    const waitSeconds = options.waitSeconds ?? 60;
    if (!(waitSeconds > 0 && waitSeconds <= 86400))
      throw new WeftError([
        userProblem(source, "waitSeconds must be more than 0 and at most 86400", {
          given: String(waitSeconds),
        }),
      ]);
    const matmulLibrary = options.matmulLibrary ?? "own";
    if (matmulLibrary !== "auto" && matmulLibrary !== "own")
      throw new WeftError([
        userProblem(source, 'matmulLibrary must be "auto" or "own"', { given: String(matmulLibrary) }),
      ]);
    const library = addon();
    const handle = await native(() =>
      library.openDevice(kind, {
        ...own,
        waitSeconds,
        waitForEachLaunch: options.waitForEachLaunch ?? false,
        overlapLaunches: options.overlapLaunches ?? false,
        useMatmulLibrary: matmulLibrary === "auto",
      }),
    );
    return new NativeDevice(name, library, handle, options);
  }

  async load(plan: Plan, weights: WeightSource, options: LoadOptions = {}): Promise<CudaExecutable> {
    const limit = memoryLimit(source, options.memoryLimitBytes ?? this.#options.memoryLimitBytes);
    const prepared = native(() => this.#native.preparePlan(plan));
    // Before kernels are compiled, which may take long.
    this.#bind(prepared, weights);
    const { cudaPlan, images, toolkitVersion } = await this.#options.prepare(plan, this.facts);
    const compiled = native(() => this.#native.prepareCuda(prepared, cudaPlan));
    this.#predicted.set(plan.hash, this.#native.predict(this.#handle, compiled));
    const bound = this.#bind(prepared, weights);
    const handle = await native(() =>
      this.#native.load(
        this.#handle,
        compiled,
        images,
        bound,
        {
          memoryLimitBytes: limit,
          checkWeights: options.checkWeights ?? this.#options.checkWeights ?? true,
          ...(toolkitVersion === undefined ? {} : { toolkitVersion }),
        },
        options.onProgress,
      ),
    );
    return new NativeCudaExecutable(source, this.#native, handle, plan);
  }

  predictMemory(plan: Plan, options: PredictOptions = {}): MemoryTable {
    const prepared = native(() => this.#native.preparePlan(plan));
    if (options.weights !== undefined) this.#bind(prepared, options.weights);
    const emit = this.#options.emit;
    if (emit === undefined) {
      const known = this.#predicted.get(plan.hash);
      if (known !== undefined) return known;
      throw new WeftError([
        userProblem(source, "the plan must have been loaded for its memory to be predicted", {
          given: plan.name,
          remedy: "give the device the option emit, or load the plan",
        }),
      ]);
    }
    const compiled: CompiledHandle = native(() => this.#native.prepareCuda(prepared, emit(plan, this.facts)));
    return this.#native.predict(this.#handle, compiled);
  }

  takeCalls(): Recorded {
    return native(() => this.#native.takeCalls(this.#handle));
  }

  #bind(prepared: PlanHandle, weights: WeightSource): BoundWeight[] {
    return boundWeights(this.#native.weightsOf(prepared), weights);
  }

  [Symbol.dispose](): void {
    this.#native.disposeDevice(this.#handle);
  }
}
