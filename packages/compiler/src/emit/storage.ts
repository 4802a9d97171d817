/** The buffers, symbols and kernels of a plan while it is put together; programs share what is equal. */
import {
  type Axis,
  type Dtype,
  type Graph,
  maxSize,
  type NodeId,
  type StateSpec,
  type SymbolSpec,
  unsupportedProblem,
  userProblem,
  WeftError,
} from "@weft/dsl";
import type { SymbolicSum } from "../fusion/affine.ts";
import { elementBytes } from "../plan/element-bytes.ts";
import type { Affine, Kernel, PlanBuffer, PlanDtype, PlanSymbol } from "../plan/types.ts";

/** Where a value lies: a buffer, an offset and strides by axis name. */
export interface Storage {
  readonly buffer: number;
  readonly offset: SymbolicSum;
  readonly strides: ReadonlyMap<string, number>;
}

export const planDtype = (dtype: Dtype): PlanDtype => (dtype === "bool" ? "f32" : dtype);

/** Rows of nvfp4 lie in groups of 16: a word of eight codes of each, and so on; then their scales. */
const nvfp4Rows = 16;

/** What a buffer takes. */
export function bufferBytes(dtype: PlanDtype, shape: readonly number[]): number {
  const count = shape.reduce((product, size) => product * size, 1);
  if (dtype !== "nvfp4") return count * elementBytes[dtype];
  const rowLength = shape.at(-1)!;
  const rows = count / rowLength;
  return (Math.ceil(rows / nvfp4Rows) * nvfp4Rows * rowLength * 9) / 16;
}

function codesElsewhere(name: string): WeftError {
  return new WeftError([
    unsupportedProblem("emit", "a value of f8e4m3 must be a weight", {
      given: name,
      remedy: "cast it to f32",
    }),
  ]);
}

function blocksElsewhere(name: string): WeftError {
  return new WeftError([
    unsupportedProblem("emit", "blocks of nvfp4 must be a weight, or written to a state by what makes them", {
      given: name,
      remedy: "cast them to f32, or write them to a state",
    }),
  ]);
}

/** Sums of bytes and offsets are exact up to 2^53, and no machine comes near. */
function tooLarge(name: string, dtype: PlanDtype, shape: readonly number[]): WeftError {
  return new WeftError([
    userProblem("emit", "a value must take less than 2^53 bytes", {
      given: `${dtype}[${shape.join(", ")}]`,
      path: name,
      remedy: "give its axes smaller sizes",
    }),
  ]);
}

export class PlanAssembly {
  readonly symbols: PlanSymbol[] = [];
  readonly buffers: PlanBuffer[] = [];
  readonly kernels: Kernel[] = [];
  readonly #symbolByName = new Map<string, number>();
  readonly #shared = new Map<string, number>();
  readonly #kernelByKey = new Map<string, number>();
  readonly #kernelNames = new Map<string, number>();

  declareSymbols(symbols: readonly SymbolSpec[]): void {
    for (const one of symbols) {
      const present = this.#symbolByName.get(one.name);
      if (present !== undefined) {
        const old = this.symbols[present]!;
        old.max = Math.max(old.max, one.max);
        continue;
      }
      this.#symbolByName.set(one.name, this.symbols.length);
      this.symbols.push({ name: one.name, max: one.max, sum: [] });
    }
    for (const one of symbols) {
      if (one.sum === undefined) continue;
      this.symbols[this.symbolIndex(one.name)]!.sum = one.sum.map((name) => this.symbolIndex(name));
    }
  }

  symbolIndex(name: string): number {
    const index = this.#symbolByName.get(name);
    if (index === undefined) throw new Error(`the symbol "${name}" must be declared`);
    return index;
  }

  affine(sum: SymbolicSum): Affine {
    const terms = [...sum.terms].map(([name, factor]) => ({ symbol: this.symbolIndex(name), factor }));
    return { constant: sum.constant, terms: terms.sort((a, b) => a.symbol - b.symbol) };
  }

  addBuffer(name: string, kind: PlanBuffer["class"], dtype: Dtype, axes: readonly Axis[]): number {
    const shape = axes.map((one) => maxSize(one.size));
    const own = planDtype(dtype);
    if (own === "f8e4m3" && kind !== "weights") throw codesElsewhere(name);
    if (own === "nvfp4" && kind !== "weights" && kind !== "state") throw blocksElsewhere(name);
    const bytes = bufferBytes(own, shape);
    if (!Number.isSafeInteger(bytes)) throw tooLarge(name, own, shape);
    this.buffers.push({ name, class: kind, dtype: own, shape, bytes, offset: 0, positions: -1 });
    return this.buffers.length - 1;
  }

  /** A weight or a state: one buffer for all programs. */
  sharedBuffer(name: string, kind: "weights" | "state", dtype: Dtype, axes: readonly Axis[]): number {
    const key = `${kind}:${name}`;
    const present = this.#shared.get(key);
    if (present !== undefined) {
      const old = this.buffers[present]!;
      const shape = axes.map((one) => maxSize(one.size));
      if (old.dtype !== planDtype(dtype) || old.shape.join() !== shape.join()) {
        throw new Error(`${kind} "${name}" must have one type in all programs`);
      }
      return present;
    }
    const index = this.addBuffer(name, kind, dtype, axes);
    this.#shared.set(key, index);
    return index;
  }

  stateBuffer(graph: Graph, name: string): { buffer: number; spec: StateSpec } {
    const spec = graph.states.find((one) => one.name === name);
    if (spec === undefined) throw new Error(`the state "${name}" must be declared`);
    return { buffer: this.sharedBuffer(name, "state", spec.type.dtype, spec.type.axes), spec };
  }

  /** A state that is appended to: positions lie along this axis of it, in every program. */
  growsAlong(buffer: number, axis: number): void {
    const one = this.buffers[buffer]!;
    if (one.positions !== -1 && one.positions !== axis)
      throw new Error(`the state "${one.name}" must grow along one axis in all programs`);
    one.positions = axis;
  }

  /** Equal kernels are one: identical layers share them. */
  addKernel(kernel: Kernel): number {
    const key = JSON.stringify(kernel);
    const present = this.#kernelByKey.get(key);
    if (present !== undefined) return present;
    const index = this.kernels.length;
    this.kernels.push({ ...kernel, name: this.#freeName(kernel.name) });
    this.#kernelByKey.set(key, index);
    return index;
  }

  /** The name, or the first that is free with a number behind it. */
  #freeName(wanted: string): string {
    const taken = this.#kernelNames;
    let count = taken.get(wanted) ?? 0;
    let name = wanted;
    while (taken.has(name)) name = `${wanted}_${++count}`;
    taken.set(name, 1);
    taken.set(wanted, Math.max(1, count));
    return name;
  }
}

/** A name for debugging: the value's path and op. */
export function valueName(graph: Graph, id: NodeId): string {
  const node = graph.nodes[id]!;
  const place = node.origin.path === "" ? "" : `${node.origin.path}:`;
  return `${place}${node.origin.composite ?? node.op}%${id}`;
}
