/**
 * A loaded plan: calls queue up here, so that the native side sees one at a time, or several runs of a program that it
 * lets be under way together.
 */
import type { Plan } from "@weft/compiler";
import { userProblem, WeftError } from "@weft/dsl";
import type {
  Executable,
  InputArray,
  MemoryTable,
  Profile,
  RunOptions,
  RunResult,
  StateArray,
  StepSpan,
  StepTime,
  WriteStateOptions,
} from "../device.ts";
import { checkedState, stateArray, stateNamed } from "../states.ts";
import type { ExecutableHandle, NativeRun, SharedAddon } from "./addon.ts";
import { CallQueue } from "./call-queue.ts";
import { type NativeCall, nativeCall } from "./errors.ts";

export class NativeExecutable implements Executable {
  readonly plan: Plan;
  readonly runsAhead: number;
  readonly #native: SharedAddon;
  readonly #source: string;
  readonly #call: NativeCall;
  readonly #handle: ExecutableHandle;
  readonly #lane: "thread" | "stream";
  /** How many runs may be under way, by the program's name. */
  readonly #ahead: ReadonlyMap<string, number>;
  readonly #calls = new CallQueue();
  #disposed = false;

  /**
   * @param source the package's name in errors
   * @param lane what executes steps side by side, or one after the other
   */
  constructor(
    source: string,
    native: SharedAddon,
    handle: ExecutableHandle,
    plan: Plan,
    lane: "thread" | "stream",
  ) {
    this.#source = source;
    this.#lane = lane;
    this.#call = nativeCall(source);
    this.#native = native;
    this.#handle = handle;
    this.plan = plan;
    const ahead = this.#call(() => native.runsAhead(handle));
    this.#ahead = new Map(plan.programs.map(({ name }, index) => [name, ahead[index]!]));
    this.runsAhead = Math.max(1, ...ahead);
  }

  async run(program: string, options: RunOptions): Promise<RunResult> {
    const { outputs } = await this.#start(program, options, false);
    return { outputs };
  }

  async profile(program: string, options: RunOptions): Promise<Profile> {
    const { outputs, times, spans } = await this.#start(program, options, true);
    const planned = this.plan.programs.find(({ name }) => name === program)!.steps;
    const count = planned.length === 0 ? 0 : spans!.length / (3 * planned.length);
    const lanes = Array.from({ length: count }, (_, lane) => `${this.#lane} ${lane}`);
    const spanAt = (lane: number, step: number): StepSpan => {
      const [begin, end, waited] = spans!.subarray(3 * (lane * planned.length + step));
      return { begin: begin!, end: end!, waited: waited! };
    };
    const steps = planned.map(
      (step, index): StepTime => ({
        kernel: this.plan.kernels[step.kernel]!.name,
        step: index,
        origins: step.origins,
        nanoseconds: times![index]!,
        spans: lanes.map((_, lane) => spanAt(lane, index)),
      }),
    );
    return { outputs, lanes, steps };
  }

  memory(): MemoryTable {
    this.#checkOpen();
    return this.#call(() => this.#native.memory(this.#handle));
  }

  reset(): Promise<void> {
    return this.#queue(() => this.#native.reset(this.#handle));
  }

  shiftState(count: number): Promise<void> {
    return this.#queue(() => this.#native.shiftState(this.#handle, count));
  }

  saveState(): Promise<Uint8Array> {
    return this.#queue(() => this.#native.saveState(this.#handle));
  }

  restoreState(saved: Uint8Array): Promise<void> {
    return this.#queue(() => this.#native.restoreState(this.#handle, saved));
  }

  readState(name: string): Promise<StateArray> {
    return this.#queue(async () => {
      const { dtype } = stateNamed(this.plan, name);
      return stateArray(dtype, await this.#call(() => this.#native.readState(this.#handle, name)));
    });
  }

  writeState(name: string, values: StateArray, options: WriteStateOptions = {}): Promise<void> {
    // What waits keeps what the array holds now: the caller may reuse it.
    const kept = this.#calls.canBegin() ? values : values.slice();
    return this.#queue(async () => {
      const { bytes, dtype } = checkedState(this.plan, name, kept, options);
      await this.#call(() => this.#native.writeState(this.#handle, name, bytes, dtype, options.at ?? 0));
    });
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#native.disposeExecutable(this.#handle);
  }

  #start(program: string, options: RunOptions, profile: boolean): Promise<NativeRun> {
    const kind = { name: program, most: profile ? 1 : (this.#ahead.get(program) ?? 1) };
    // A call that has to wait keeps what it was given: the caller may reuse the arrays and what holds them.
    const { symbols, inputs, outputs } = this.#calls.canBegin(kind) ? options : snapshot(options);
    return this.#queue(
      () => this.#native.run(this.#handle, program, symbols, inputs, outputs, profile),
      kind,
    );
  }

  #queue<T>(call: () => Promise<T>, kind?: { name: string; most: number }): Promise<T> {
    return this.#calls.add(async () => {
      this.#checkOpen();
      return await this.#call(call);
    }, kind);
  }

  #checkOpen(): void {
    if (this.#disposed)
      throw new WeftError([userProblem(this.#source, "the executable must not be used after dispose")]);
  }
}

function snapshot({ symbols, inputs, outputs }: RunOptions): RunOptions {
  const copies = Object.entries(inputs).map(([name, array]): [string, InputArray] => [
    name,
    ArrayBuffer.isView(array) ? array.slice() : array,
  ]);
  return {
    symbols: { ...symbols },
    inputs: Object.fromEntries(copies),
    ...(outputs === undefined ? {} : { outputs: { ...outputs } }),
  };
}
