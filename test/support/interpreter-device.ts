/**
 * A device that runs the interpreter on the very graphs that a plan was compiled from: what plans are held against, and
 * what inference is tested with where no native code should take part.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { type Compiled, type InterpreterState, initialState, interpret, type Plan } from "@weft/compiler";
import {
  decodeE4m3,
  decodeNvfp4,
  elementCount,
  type Graph,
  maxSize,
  roundTo,
  type TensorArray,
} from "@weft/dsl";
import { bfloat16ToFloat32, float16ToFloat32, float32ToBfloat16, float32ToFloat16 } from "@weft/qwen3";
import {
  type Device,
  type Executable,
  type FilePart,
  type MemoryTable,
  type RunOptions,
  type RunResult,
  type StateArray,
  savedLayout,
  type Weight,
  type WeightSource,
  type WriteStateOptions,
} from "@weft/runtime";

export interface InterpreterDeviceOptions {
  /** Called before each run; may throw in its place. */
  readonly onRun?: (program: string, options: RunOptions) => void | Promise<void>;
  /** Keep states in doubles, as the interpreter computes them. Default: rounded to f32, as a device stores them. */
  readonly roundF32?: boolean;
}

/** @param compiled what the plan to load was compiled as; its graphs are what is run. */
export function interpreterDevice(compiled: Compiled, options: InterpreterDeviceOptions = {}): Device {
  return {
    name: "interpreter",
    load: async (plan, weights) => new InterpreterExecutable(plan, compiled, weights, options),
    predictMemory: () => noMemory,
    [Symbol.dispose]() {},
  };
}

const noMemory: MemoryTable = {
  weightsMapped: 0,
  weightsCopied: 0,
  state: 0,
  activations: 0,
  input: 0,
  output: 0,
  scratchShared: 0,
  scratchPerThread: 0,
  control: 0,
  pinned: 0,
  threads: 1,
  total: 0,
};

class InterpreterExecutable implements Executable {
  readonly plan: Plan;
  readonly runsAhead = 1;
  readonly #graphs: ReadonlyMap<string, Graph>;
  readonly #parameters: (name: string) => TensorArray | undefined;
  readonly #options: InterpreterDeviceOptions;
  #state: InterpreterState;

  constructor(plan: Plan, compiled: Compiled, weights: WeightSource, options: InterpreterDeviceOptions) {
    this.plan = plan;
    this.#options = options;
    this.#graphs = new Map(compiled.compiled.map(({ name, fused }) => [name, fused.graph]));
    const arrays = new Map<string, TensorArray>();
    for (const graph of this.#graphs.values()) {
      for (const { op, attributes, type } of graph.nodes) {
        if (op !== "parameter") continue;
        const name = attributes.name as string;
        const weight = typeof weights === "function" ? weights(name) : weights[name];
        if (weight === undefined || arrays.has(name)) continue;
        const axes = type.axes.map((axis) => ({ name: axis.name, size: maxSize(axis.size) }));
        // Of the file's own type: the interpreter rounds to the type in which the graph stores it.
        arrays.set(name, { dtype: weight.dtype, axes, data: valuesOf(weight) });
      }
    }
    this.#parameters = (name) => arrays.get(name);
    this.#state = this.#zeros();
  }

  async run(program: string, given: RunOptions): Promise<RunResult> {
    await this.#options.onRun?.(program, given);
    const graph = this.#graphs.get(program);
    if (graph === undefined) throw new Error(`no program ${program}`);
    const inputs = new Map<string, TensorArray>();
    for (const node of graph.nodes) {
      if (node.op !== "input") continue;
      const name = node.attributes.name as string;
      const data = Float64Array.from(given.inputs[name]!);
      inputs.set(name, {
        dtype: node.type.dtype,
        axes: node.type.axes.map((axis) => ({ name: axis.name, size: data.length })),
        data,
      });
    }
    const results = interpret(graph, {
      inputs,
      parameters: this.#parameters,
      symbols: given.symbols,
      state: this.#state,
      roundF32: this.#options.roundF32 ?? false,
    });
    const outputs: Record<string, Float32Array> = {};
    for (const [name, { data }] of results) {
      if (given.outputs !== undefined && !(name in given.outputs)) continue;
      const target = (given.outputs?.[name] as Float32Array | undefined) ?? new Float32Array(data.length);
      if (target.length !== data.length)
        throw new Error(`${name} has ${data.length} values, not ${target.length}`);
      target.set(data);
      outputs[name] = target;
    }
    return { outputs };
  }

  async profile(program: string, options: RunOptions) {
    return { ...(await this.run(program, options)), lanes: [], steps: [] };
  }

  memory(): MemoryTable {
    return noMemory;
  }

  async reset(): Promise<void> {
    this.#state = this.#zeros();
  }

  async shiftState(count: number): Promise<void> {
    for (const { state } of savedLayout(this.plan)) {
      const { axes, data } = this.#state.get(state.name)!;
      const inner = elementCount(axes.slice(state.positions + 1));
      const whole = inner * axes[state.positions]!.size;
      for (let begin = 0; begin < data.length; begin += whole) {
        data.copyWithin(begin, begin + count * inner, begin + whole);
        data.fill(0, begin + whole - count * inner, begin + whole);
      }
    }
  }

  async saveState(): Promise<Uint8Array> {
    const layout = savedLayout(this.plan);
    const saved = new Uint8Array(
      layout.reduce((sum, { state }) => sum + Math.ceil(state.bytes / 256) * 256, 0),
    );
    for (const { state, begin } of layout) {
      const { name, dtype } = state;
      const values = Float32Array.from(this.#state.get(name)!.data);
      const stored =
        dtype === "bf16" ? float32ToBfloat16(values) : dtype === "f16" ? float32ToFloat16(values) : values;
      saved.set(new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength), begin);
    }
    return saved;
  }

  async restoreState(saved: Uint8Array): Promise<void> {
    for (const { state, begin } of savedLayout(this.plan)) {
      const { name, dtype, bytes } = state;
      this.#state.get(name)!.data.set(widen(dtype, saved.slice(begin, begin + bytes).buffer));
    }
  }

  async readState(name: string): Promise<StateArray> {
    const { dtype } = this.#buffer(name);
    const values = this.#state.get(name)!.data;
    if (dtype === "i32") return Int32Array.from(values);
    if (dtype === "i8") return Int8Array.from(values);
    const floats = Float32Array.from(values);
    if (dtype === "f32") return floats;
    return dtype === "bf16" ? float32ToBfloat16(floats) : float32ToFloat16(floats);
  }

  async writeState(name: string, values: StateArray, options: WriteStateOptions = {}) {
    const { dtype } = this.#buffer(name);
    const given =
      options.dtype ?? (values instanceof Uint16Array ? dtype : values instanceof Int32Array ? "i32" : "f32");
    const bytes = values.buffer.slice(values.byteOffset, values.byteOffset + values.byteLength);
    const exact = values instanceof Uint16Array ? widen(given, bytes as ArrayBuffer) : values;
    const state = this.#state.get(name)!;
    state.data.set(
      Float64Array.from(exact, (value) => roundTo(state.dtype, value)),
      options.at ?? 0,
    );
  }

  #buffer(name: string) {
    return this.plan.buffers.find((one) => one.class === "state" && one.name === name)!;
  }

  [Symbol.dispose](): void {}

  #zeros(): InterpreterState {
    return new Map([...this.#graphs.values()].flatMap((graph) => [...initialState(graph)]));
  }
}

function valuesOf(weight: Weight): Float64Array {
  if (weight.dtype === "nvfp4") {
    const [codes, scales] =
      weight.kind === "data"
        ? [bytesOf(weight.data), weight.scales!]
        : [bytesAt(weight), bytesAt(weight.scales!)];
    return Float64Array.from(decodeNvfp4({ codes, scales }));
  }
  if (weight.kind === "data") {
    const { buffer, byteOffset, byteLength } = weight.data;
    return Float64Array.from(
      widen(weight.dtype, buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer),
    );
  }
  return Float64Array.from(widen(weight.dtype, bytesAt(weight).buffer));
}

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView) =>
  new Uint8Array(buffer, byteOffset, byteLength);

function bytesAt({ path, offset, bytes }: FilePart): Uint8Array<ArrayBuffer> {
  const content = new Uint8Array(bytes);
  const file = openSync(path, "r");
  readSync(file, content, 0, bytes, offset);
  closeSync(file);
  return content;
}

function widen(dtype: string, bytes: ArrayBuffer): Float32Array {
  if (dtype === "bf16") return bfloat16ToFloat32(new Uint16Array(bytes));
  if (dtype === "f16") return float16ToFloat32(new Uint16Array(bytes));
  if (dtype === "f8e4m3") return Float32Array.from(new Uint8Array(bytes), decodeE4m3);
  return new Float32Array(bytes);
}
