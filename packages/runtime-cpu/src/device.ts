/** The CPU as a device: plans executed by vectorised native code on a team of threads. */
import type { Plan } from "@weft/compiler";
import { userProblem, WeftError } from "@weft/dsl";
import {
  type BoundWeight,
  boundWeights,
  checkedCount,
  type Device,
  type Executable,
  type LoadOptions,
  type MemoryTable,
  memoryLimit,
  NativeExecutable,
  nativeCall,
  type PlanHandle,
  type PredictOptions,
  type WeightSource,
} from "@weft/runtime";
import { type Addon, addon, type DeviceHandle } from "./addon.ts";
import { describeCpu } from "./describe.ts";

const source = "runtime-cpu";
const native = nativeCall(source);

export interface CpuOptions {
  /** Threads that execute, 1 to 1024. Default: the physical cores that this process may use. */
  readonly threads?: number;
  /** An instruction set of `describeCpu().available`. Default: the fastest. */
  readonly isa?: string;
  /** Refuses plans that need more bytes in total. Default: no limit. */
  readonly memoryLimitBytes?: number;
  /** Looks for NaN and infinity in weights while loading. Default: true. */
  readonly checkWeights?: boolean;
}

/**
 * Starts the device's threads.
 * @throws WeftError when an option is out of range or the addon is not built.
 * @example
 * using device = cpuDevice({ threads: 2 });
 * using executable = await device.load(plan, weights);
 * const { outputs } = await executable.run("decode", { symbols: { past: 3 }, inputs: { tokens } });
 */
export function cpuDevice(options: CpuOptions = {}): Device {
  const cpu = describeCpu();
  const threads = checkedCount(source, "threads", options.threads ?? cpu.physicalCores, 1, cpu.maxThreads);
  const isa = options.isa ?? cpu.isa;
  if (!cpu.available.includes(isa))
    throw new WeftError([
      userProblem(source, `isa must be one of ${cpu.available.join(", ")}`, { given: String(isa) }),
    ]);
  memoryLimit(source, options.memoryLimitBytes);
  return new CpuDevice(threads, isa, options);
}

class CpuDevice implements Device {
  readonly name = "cpu";
  readonly #native: Addon;
  readonly #threads: number;
  readonly #isa: string;
  readonly #options: CpuOptions;
  readonly #handle: DeviceHandle;

  constructor(threads: number, isa: string, options: CpuOptions) {
    this.#native = addon();
    this.#threads = threads;
    this.#isa = isa;
    this.#options = options;
    this.#handle = native(() => this.#native.createDevice(threads, isa));
  }

  async load(plan: Plan, weights: WeightSource, options: LoadOptions = {}): Promise<Executable> {
    const limit = memoryLimit(source, options.memoryLimitBytes ?? this.#options.memoryLimitBytes);
    const prepared = native(() => this.#native.preparePlan(plan));
    const bound = this.#bind(prepared, weights);
    const handle = await native(() =>
      this.#native.load(this.#handle, prepared, bound, {
        memoryLimitBytes: limit,
        checkWeights: options.checkWeights ?? this.#options.checkWeights ?? true,
      }),
    );
    return new NativeExecutable(source, this.#native, handle, plan, "thread");
  }

  predictMemory(plan: Plan, options: PredictOptions = {}): MemoryTable {
    const prepared = native(() => this.#native.preparePlan(plan));
    const bound = options.weights === undefined ? undefined : this.#bind(prepared, options.weights);
    return native(() => this.#native.predict(prepared, this.#threads, this.#isa, bound));
  }

  #bind(prepared: PlanHandle, weights: WeightSource): BoundWeight[] {
    return boundWeights(this.#native.weightsOf(prepared), weights);
  }

  [Symbol.dispose](): void {
    this.#native.disposeDevice(this.#handle);
  }
}
