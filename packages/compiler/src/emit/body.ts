/** Writes the body of one row program: nodes become instructions over registers. */
import {
  type Axis,
  constantValue,
  type Graph,
  isBinaryFunction,
  isComparison,
  isUnaryFunction,
  type NodeId,
  type Size,
} from "@weft/dsl";
import { addSums, constantSum, type SymbolicSum, sumOf } from "../fusion/affine.ts";
import { indexExpression } from "../fusion/index-arithmetic.ts";
import type { Space } from "../fusion/types.ts";
import { contiguousStrides } from "../fusion/view.ts";
import { attributesOf } from "../passes/rewrite.ts";
import type { Access, Affine, Instruction, Loop, PlanDtype, RowProgram } from "../plan/types.ts";
import type { PlanAssembly, Storage } from "./storage.ts";

/** What a body needs to know about its kernel: where values lie, and the slots through which they are reached. */
export interface BodyContext {
  readonly graph: Graph;
  readonly assembly: PlanAssembly;
  /** Storage of a value that lies in memory, a view included; undefined for index arithmetic. */
  readonly storageOf: (id: NodeId) => Storage | undefined;
  /** Where this kernel must store a value of its own. */
  readonly targetOf: (id: NodeId) => readonly Storage[];
  readonly slot: (buffer: number, access: "read" | "write") => number;
}

export class BodyBuilder {
  readonly #context: BodyContext;
  readonly #space: Space;
  readonly #nodes: ReadonlySet<NodeId>;
  readonly #body: Instruction[] = [];
  readonly #registers = new Map<NodeId, number>();
  readonly #memo = new Map<string, number>();

  constructor(context: BodyContext, space: Space, nodes: ReadonlySet<NodeId>) {
    this.#context = context;
    this.#space = space;
    this.#nodes = nodes;
  }

  /** Declares a value that is in a register from the start: a finished product. */
  accumulator(id: NodeId, weight: number): void {
    const { axes } = this.#context.graph.nodes[id]!.type;
    this.#registers.set(id, this.#push({ kind: "accumulator", weight, length: this.#lengthOf(axes) }));
  }

  /** Computes the nodes in order and stores those that are wanted. */
  compute(): void {
    for (const id of [...this.#nodes].sort((a, b) => a - b)) {
      if (!this.#registers.has(id)) this.#registers.set(id, this.#node(id));
      for (const target of this.#context.targetOf(id)) this.store(id, target);
    }
  }

  store(id: NodeId, target: Storage): void {
    const { axes } = this.#context.graph.nodes[id]!.type;
    const access = this.#access(target, axes, "write");
    this.#push({ kind: "store", access, operand: this.operand(id), length: this.#lengthOf(axes) });
  }

  /** The register that holds a value: computed here, index arithmetic, or loaded. */
  operand(id: NodeId): number {
    const own = this.#registers.get(id);
    if (own !== undefined) return own;
    const storage = this.#context.storageOf(id);
    if (storage === undefined) return this.#inline(id);
    const { axes } = this.#context.graph.nodes[id]!.type;
    return this.#once({
      kind: "load",
      access: this.#access(storage, axes, "read"),
      length: this.#lengthOf(axes),
    });
  }

  /** Makes `register` the last one, as a prologue's result must be. */
  finishWith(register: number): void {
    if (register !== this.#body.length - 1) this.#push({ kind: "round", dtype: "f32", operand: register });
  }

  program(): RowProgram {
    return { loops: this.#space.loops.map((one) => this.#loop(one)), row: this.#rowLoop(), body: this.#body };
  }

  #loop(axis: Axis): Loop {
    return { axis: axis.name, extent: this.#size(axis.size) };
  }

  #rowLoop(): Loop {
    const { row } = this.#space;
    if (row.length === 1) return this.#loop(row[0]!);
    const size = row.reduce((product, one) => product * (one.size as number), 1);
    return { axis: row.map((one) => one.name).join("*"), extent: this.#size(size) };
  }

  #size(size: Size): Affine {
    return this.#context.assembly.affine(sumOf(size));
  }

  #rowAxes(axes: readonly Axis[]): readonly Axis[] {
    return axes.filter((one) => this.#space.row.some((other) => other.name === one.name));
  }

  /** How many elements of a value lie in one row: 1 for a value without the row axis. */
  #lengthOf(axes: readonly Axis[]): Affine {
    const rows = this.#rowAxes(axes);
    if (rows.length === 1) return this.#size(rows[0]!.size);
    return this.#size(rows.reduce((product, one) => product * (one.size as number), 1));
  }

  #access(storage: Storage, axes: readonly Axis[], access: "read" | "write"): Access {
    const rows = this.#rowAxes(axes);
    const inner = rows.at(-1);
    return {
      slot: this.#context.slot(storage.buffer, access),
      offset: this.#context.assembly.affine(storage.offset),
      strides: this.#space.loops.map((loop) =>
        axes.some((one) => one.name === loop.name) ? (storage.strides.get(loop.name) ?? 0) : 0,
      ),
      rowStride: inner === undefined ? 0 : (storage.strides.get(inner.name) ?? 0),
    };
  }

  #push(instruction: Instruction): number {
    this.#body.push(instruction);
    return this.#body.length - 1;
  }

  /** Equal loads and constants are one register. */
  #once(instruction: Instruction): number {
    const key = JSON.stringify(instruction);
    const present = this.#memo.get(key);
    if (present !== undefined) return present;
    const register = this.#push(instruction);
    this.#memo.set(key, register);
    return register;
  }

  #constant(value: number): number {
    const special = Number.isNaN(value)
      ? "nan"
      : value === Infinity
        ? "inf"
        : value === -Infinity
          ? "-inf"
          : "";
    return this.#once({ kind: "constant", value: special === "" ? value : 0, special });
  }

  /** The index along an axis of the space plus an offset; `size` is the axis' own, which a slice may have cut. */
  #index(axis: string | undefined, offset: SymbolicSum, size: Size = 1): number {
    const affine = this.#context.assembly.affine(offset);
    const one = this.#size(1);
    if (axis === undefined) {
      return offset.terms.size === 0
        ? this.#constant(offset.constant)
        : this.#once({ kind: "index", loop: -1, offset: affine, length: one });
    }
    const loop = this.#space.loops.findIndex((other) => other.name === axis);
    if (loop >= 0) return this.#once({ kind: "index", loop, offset: affine, length: one });
    const row = this.#space.row.find((other) => other.name === axis);
    // An axis outside the space has size 1: its only index is 0.
    if (row === undefined) return this.#index(undefined, offset);
    if (this.#space.row.length !== 1) throw new Error(`the axis "${axis}" must not be flattened`);
    return this.#once({ kind: "index", loop: -1, offset: affine, length: this.#size(size) });
  }

  /** Index arithmetic and constants, computed where they are used. */
  #inline(id: NodeId): number {
    const node = this.#context.graph.nodes[id]!;
    if (node.op === "constant") return this.#constant(constantValue(attributesOf(node, "constant").value));
    const expression = indexExpression(this.#context.graph, id);
    if (expression !== undefined) {
      const size = node.type.axes.find((one) => one.name === expression.axis)?.size;
      return this.#index(expression.axis, expression.offset, size);
    }
    return this.#node(id);
  }

  #node(id: NodeId): number {
    const { graph } = this.#context;
    const node = graph.nodes[id]!;
    const operand = (position: number) => this.operand(node.inputs[position]!);
    if (isUnaryFunction(node.op)) {
      return this.#push({ kind: "unary", function: node.op, operand: operand(0) });
    }
    if (isBinaryFunction(node.op)) {
      const [left, right] = [operand(0), operand(1)];
      const result = this.#push({ kind: "binary", function: node.op, left, right });
      // Integers live in f32 registers: a quotient or a power must be cut back to one.
      const fraction = node.type.dtype === "i32" && !isComparison(node.op);
      return fraction && (node.op === "div" || node.op === "pow")
        ? this.#push({ kind: "round", dtype: "i32", operand: result })
        : result;
    }
    switch (node.op) {
      case "select":
        return this.#push({ kind: "select", condition: operand(0), then: operand(1), otherwise: operand(2) });
      case "cast":
        return this.#cast(graph.nodes[node.inputs[0]!]!.type.dtype, node.type.dtype, operand(0));
      case "stochasticRound":
        return this.#stochasticRound(id);
      case "quantizeNvfp4":
        return this.#quantize(id);
      case "reduceSum":
      case "reduceMax":
        return this.#push({
          kind: "reduce",
          function: node.op === "reduceSum" ? "sum" : "max",
          operand: operand(0),
        });
      case "slice": {
        const { start, size } = attributesOf(node, "slice");
        return this.#push({ kind: "slice", operand: operand(0), start, length: size });
      }
      case "concat":
        return this.#push({ kind: "concat", operands: node.inputs.map((input) => this.operand(input)) });
      case "gather":
        return this.#gather(id);
      case "iota":
      case "symbol":
      case "constant":
      case "last":
        return this.#inline(id);
      default:
        throw new Error(`${node.op} must not be in a row program`);
    }
  }

  #cast(from: string, to: string, operand: number): number {
    if (to === "bool") {
      const isZero = this.#push({
        kind: "binary",
        function: "equal",
        left: operand,
        right: this.#constant(0),
      });
      return this.#push({ kind: "binary", function: "sub", left: this.#constant(1), right: isZero });
    }
    const exact = from === to || from === "bool" || (to === "f32" && from !== "f32");
    return exact ? operand : this.#push({ kind: "round", dtype: to as PlanDtype, operand });
  }

  /** Places are counted in the value's own axes, wherever it lies and however the loops go. */
  #stochasticRound(id: NodeId): number {
    const node = this.#context.graph.nodes[id]!;
    const [operand, keyLow, keyHigh, stream] = node.inputs.map((input) => this.operand(input)) as [
      number,
      number,
      number,
      number,
    ];
    return this.#push({
      kind: "stochasticRound",
      operand,
      keyLow,
      keyHigh,
      stream,
      ...this.#places(node.type.axes),
    });
  }

  /** Where the elements of a value stand in it, counted row by row. */
  #places(axes: readonly Axis[]): { strides: number[]; rowStride: number } {
    const strides = contiguousStrides(axes);
    const inner = this.#rowAxes(axes).at(-1);
    return {
      strides: this.#space.loops.map(({ name }) => strides.get(name) ?? 0),
      rowStride: inner === undefined ? 0 : strides.get(inner.name)!,
    };
  }

  #quantize(id: NodeId): number {
    const node = this.#context.graph.nodes[id]!;
    const [operand, encodeScale, ...random] = node.inputs.map((input) => this.operand(input));
    return this.#push({
      kind: "quantizeNvfp4",
      operand: operand!,
      encodeScale: encodeScale!,
      ...attributesOf(node, "quantizeNvfp4"),
      random,
      ...this.#places(node.type.axes),
    });
  }

  #gather(id: NodeId): number {
    const { graph, storageOf } = this.#context;
    const node = graph.nodes[id]!;
    const [table, indices] = [graph.nodes[node.inputs[0]!]!, node.inputs[1]!];
    const { axis } = attributesOf(node, "gather");
    const storage = storageOf(table.id)!;
    const rest = table.type.axes.filter((one) => one.name !== axis);
    const index = this.operand(indices);
    return this.#push({
      kind: "gather",
      access: this.#access(storage, rest, "read"),
      index,
      indexStride: storage.strides.get(axis)!,
      bound: table.type.axes.find((one) => one.name === axis)!.size as number,
      length: this.#lengthOf(rest),
    });
  }
}

/** Adds an offset and takes the strides of a view into a stored value. */
export function throughView(
  base: Storage,
  offset: SymbolicSum,
  strides: ReadonlyMap<string, number>,
): Storage {
  return { buffer: base.buffer, offset: addSums(base.offset, offset), strides };
}

export const atStart = constantSum(0);
