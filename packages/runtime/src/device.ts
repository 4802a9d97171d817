/** What executes plans. The CPU's is in @weft/runtime-cpu; other devices keep to the same interface. */
import type { Plan, PlanDtype } from "@weft/compiler";
import type { WeightSource } from "./weights.ts";

/** Bytes by purpose. Predicted before loading and measured after: the same numbers. */
export interface MemoryTable {
  /** Pages of the weight files themselves, shared with the page cache and other processes. */
  readonly weightsMapped: number;
  /** Weights converted to another dtype, or given as data. */
  readonly weightsCopied: number;
  readonly state: number;
  readonly activations: number;
  readonly input: number;
  readonly output: number;
  readonly scratchShared: number;
  readonly scratchPerThread: number;
  readonly threads: number;
  /** Symbols and counters in a device's own memory; 0 on the host. */
  readonly control: number;
  /** All of the above, with scratch counted for every thread: what a memory limit limits. */
  readonly total: number;
  /** Page-locked memory of the host through which inputs and outputs reach a device; 0 on the host. */
  readonly pinned: number;
}

export interface LoadOptions {
  /** Refuses, with the table, a plan that needs more bytes in total. Default: the device's. */
  readonly memoryLimitBytes?: number;
  /** Looks for NaN and infinity in the weights. Default: the device's. */
  readonly checkWeights?: boolean;
  /** Told now and then how much of the weights is loaded. Devices that map weights have nothing to tell. */
  readonly onProgress?: (loadedBytes: number, totalBytes: number) => void;
}

export interface PredictOptions {
  /** Where the weights will come from. Default: files of the plan's own dtypes, all mapped. */
  readonly weights?: WeightSource;
}

/** Values of one input: Int32Array for i32, Float32Array for f32; exactly as many as the port's shape holds. */
export type InputArray = Int32Array | Float32Array;
/** Values of one output: Int32Array for i32, Float32Array for every float dtype. */
export type OutputArray = Float32Array | Int32Array;

/** Values of one state. */
export type StateArray = Float32Array | Int32Array | Int8Array | Uint16Array | Uint8Array;

export interface RunOptions {
  /** The value of every plan symbol that is not a sum of others: a non-negative integer, at most its `max`. */
  readonly symbols: Readonly<Record<string, number>>;
  readonly inputs: Readonly<Record<string, InputArray>>;
  /** Arrays to fill; outputs that are not named are then not copied. Default: new arrays for all outputs. */
  readonly outputs?: Readonly<Record<string, OutputArray>>;
}

export interface RunResult {
  readonly outputs: Readonly<Record<string, OutputArray>>;
}

/** What one lane did of one step. Times are nanoseconds since the run began. */
export interface StepSpan {
  readonly begin: number;
  readonly end: number;
  /** Of that time, at barriers within the step, for the other lanes. */
  readonly waited: number;
}

export interface StepTime {
  /** Name of the kernel. */
  readonly kernel: string;
  /** Index into the program's steps. */
  readonly step: number;
  readonly origins: readonly string[];
  /** From the end of the step before to the end of this one, for all lanes. */
  readonly nanoseconds: number;
  /** One for each lane of the profile. What is left of the step behind `end`, the lane waits for the others. */
  readonly spans: readonly StepSpan[];
}

export interface Profile extends RunResult {
  /** What executes a step side by side: `thread 0`, `thread 1`, ... of the CPU's team; `stream 0` of a GPU. */
  readonly lanes: readonly string[];
  readonly steps: readonly StepTime[];
}

/**
 * A plan loaded on a device. Calls are executed one after the other, in the order of the calls; each promise settles
 * when its call is done. After dispose every call rejects.
 */
export interface Executable {
  readonly plan: Plan;
  /**
   * How many runs of one program whose ports have fixed sizes (a decode step) can be under way at once: called without
   * awaiting the ones before, they are handed to the device behind each other, so that it does not wait for the host in
   * between. 1 where each run begins when the one before has been settled.
   */
  readonly runsAhead: number;
  /**
   * Executes a program. Symbols and inputs are read before this returns. Rejects, with nothing written, when one of them
   * does not fit. When a run fails while it is executed, those under way behind it reject as well, with its error.
   */
  run(program: string, options: RunOptions): Promise<RunResult>;
  /** As run, alone on the device, with the time of each step. The outputs are the same to the bit. */
  profile(program: string, options: RunOptions): Promise<Profile>;
  memory(): MemoryTable;
  /** Fills all states with zeros, weights under training included. */
  reset(): Promise<void>;
  /**
   * Shifts every state that holds positions of a context (`positions` of its buffer: a KV cache) by `count` of them to the
   * front: the first ones are gone, the last ones become zero. All other states stay as they are. Rejects, with nothing
   * moved, when one has fewer positions.
   */
  shiftState(count: number): Promise<void>;
  /** A copy of the states that hold positions, laid out as `savedLayout` says. Weights under training are not in it. */
  saveState(): Promise<Uint8Array>;
  /** Puts such a copy of the same plan back. */
  restoreState(saved: Uint8Array): Promise<void>;
  /**
   * A copy of one state, as it is stored: Float32Array, Int32Array, Int8Array, Uint16Array with the bits of bf16 and f16, or of nvfp4
   * a Uint8Array with the codes of all rows (two a byte) and then the scales of all blocks.
   * Rejects when the plan has no state of this name.
   */
  readState(name: string): Promise<StateArray>;
  /**
   * Replaces one state, or with `at` the part of it that begins at that element (C order). A Uint16Array holds bits of `dtype`: the state's own, where it has 16 bits, unless said
   * otherwise. Floats of another dtype are converted, narrowing rounds to nearest even. Rejects, with nothing written,
   * when the name, the number of elements or the kind of array does not fit.
   */
  writeState(name: string, values: StateArray, options?: WriteStateOptions): Promise<void>;
  /** Ends a run in execution early (it rejects); memory is given back when it has ended. */
  [Symbol.dispose](): void;
}

export interface WriteStateOptions {
  /** What the values are. Default: the state's own dtype where it has 16 bits, else that of the array. */
  readonly dtype?: PlanDtype;
  /** The first element that is replaced. */
  readonly at?: number;
}

export interface Device {
  readonly name: string;
  /** Checks the plan, allocates, binds and checks the weights. Everything that can fail early, fails here. */
  load(plan: Plan, weights: WeightSource, options?: LoadOptions): Promise<Executable>;
  /** The memory that `load` would take; allocates nothing. */
  predictMemory(plan: Plan, options?: PredictOptions): MemoryTable;
  /** Ends all work of the device; its executables can no longer run. */
  [Symbol.dispose](): void;
}
