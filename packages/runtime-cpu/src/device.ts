/** The CPU as a device: plans executed by vectorised native code on a team of threads. */
import type { Plan } from "@weft/compiler";
import { userProblem, WeftError } from "@weft/dsl";
import {
  type BoundWeight,
  bindWeights,
  type Device,
  type Executable,
  type LoadOptions,
  type MemoryTable,
  type PredictOptions,
  type WeightSource,
} from "@weft/runtime";
import { type Addon, addon, type DeviceHandle, type PlanHandle } from "./addon.ts";
import { describeCpu } from "./describe.ts";
import { nativeError } from "./errors.ts";
import { CpuExecutable } from "./executable.ts";

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
  const threads = checkedCount("threads", options.threads ?? cpu.physicalCores, 1, cpu.maxThreads);
  const isa = options.isa ?? cpu.isa;
  if (!cpu.available.includes(isa))
    throw new WeftError([
      userProblem("runtime-cpu", `isa must be one of ${cpu.available.join(", ")}`, { given: String(isa) }),
    ]);
  checkedLimit(options.memoryLimitBytes);
  return new CpuDevice(threads, isa, options);
}

/** An integer option within its range, or a clear refusal. */
function checkedCount(name: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new WeftError([
    userProblem("runtime-cpu", `${name} must be an integer from ${least} to ${most}`, {
      given: String(value),
    }),
  ]);
}

function checkedLimit(bytes: number | undefined): number {
  return bytes === undefined ? 0 : checkedCount("memoryLimitBytes", bytes, 1, Number.MAX_SAFE_INTEGER);
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
    this.#handle = nativeError(() => this.#native.createDevice(threads, isa));
  }

  async load(plan: Plan, weights: WeightSource, options: LoadOptions = {}): Promise<Executable> {
    const limit = checkedLimit(options.memoryLimitBytes ?? this.#options.memoryLimitBytes);
    const prepared = nativeError(() => this.#native.preparePlan(plan));
    const bound = this.#bind(prepared, weights);
    const handle = await nativeError(() =>
      this.#native.load(this.#handle, prepared, bound, {
        memoryLimitBytes: limit,
        checkWeights: options.checkWeights ?? this.#options.checkWeights ?? true,
      }),
    );
    return new CpuExecutable(this.#native, handle, plan);
  }

  predictMemory(plan: Plan, options: PredictOptions = {}): MemoryTable {
    const prepared = nativeError(() => this.#native.preparePlan(plan));
    const bound = options.weights === undefined ? undefined : this.#bind(prepared, options.weights);
    return nativeError(() => this.#native.predict(prepared, this.#threads, this.#isa, bound));
  }

  #bind(prepared: PlanHandle, source: WeightSource): BoundWeight[] {
    const { bound, problems } = bindWeights(this.#native.weightsOf(prepared), source);
    const [first, ...rest] = problems;
    if (first !== undefined) throw new WeftError([first, ...rest]);
    return bound;
  }

  [Symbol.dispose](): void {
    this.#native.disposeDevice(this.#handle);
  }
}
