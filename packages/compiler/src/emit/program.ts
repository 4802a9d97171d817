/** emit: the groups of a fused graph become kernels and steps of one program. */
import {
  type Axis,
  type GraphNode,
  internalProblem,
  type NodeId,
  unsupportedProblem,
  WeftError,
} from "@weft/dsl";
import { addSums, constantSum, scaleSum, sumOf } from "../fusion/affine.ts";
import { indexExpression } from "../fusion/index-arithmetic.ts";
import { type FusedGraph, type FusedGroup, type FusedMatmul, nodesOf, type Space } from "../fusion/types.ts";
import { contiguousStrides } from "../fusion/view.ts";
import { attributesOf } from "../passes/rewrite.ts";
import type {
  Access,
  HeadsAccess,
  Kernel,
  Loop,
  PlanPort,
  PlanProgram,
  PlanStep,
  Slot,
} from "../plan/types.ts";
import { BodyBuilder, type BodyContext, throughView } from "./body.ts";
import { kernelName, originsOf } from "./naming.ts";
import { type PlanAssembly, planDtype, type Storage, valueName } from "./storage.ts";

export interface EmittedProgram {
  readonly program: PlanProgram;
  /** For each step, the group that it came from. */
  readonly groups: readonly FusedGroup[];
}

export function emitProgram(fused: FusedGraph, assembly: PlanAssembly, name: string): EmittedProgram {
  return new ProgramEmitter(fused, assembly).run(name);
}

/** The slots and bindings of one kernel while it is written. */
class Bindings {
  readonly slots: Slot[] = [];
  readonly buffers: number[] = [];
  readonly #assembly: PlanAssembly;

  constructor(assembly: PlanAssembly) {
    this.#assembly = assembly;
  }

  slot(buffer: number, access: "read" | "write"): number {
    let index = this.buffers.indexOf(buffer);
    if (index === -1) {
      index = this.buffers.length;
      this.buffers.push(buffer);
      this.slots.push({ name: `b${index}`, dtype: this.#assembly.buffers[buffer]!.dtype, access });
    } else if (this.slots[index]!.access !== access) this.slots[index]!.access = "update";
    return index;
  }
}

class ProgramEmitter {
  readonly #fused: FusedGraph;
  readonly #assembly: PlanAssembly;
  readonly #storage = new Map<NodeId, Storage>();
  /** Further places that a value must be stored to: states that its group writes by itself. */
  readonly #direct = new Map<NodeId, Storage>();
  readonly #steps: PlanStep[] = [];
  readonly #groups: FusedGroup[] = [];

  constructor(fused: FusedGraph, assembly: PlanAssembly) {
    this.#fused = fused;
    this.#assembly = assembly;
  }

  get #graph() {
    return this.#fused.graph;
  }

  run(name: string): EmittedProgram {
    this.#assembly.declareSymbols(this.#graph.symbols);
    const inputs = this.#declareLeaves();
    const outputs = this.#declareStored();
    const isFirst = ({ node }: { node: NodeId }) => this.#isStateAtStart(node);
    this.#copyOutputs(outputs.filter(isFirst));
    for (const group of this.#fused.groups) this.#group(group);
    this.#copyOutputs(outputs.filter((one) => !isFirst(one)));
    return {
      program: { name, inputs, outputs: outputs.map((one) => one.port), steps: this.#steps },
      groups: this.#groups,
    };
  }

  #declareLeaves(): PlanPort[] {
    const inputs: PlanPort[] = [];
    for (const node of this.#graph.nodes) {
      const whole = (buffer: number): Storage => ({
        buffer,
        offset: constantSum(0),
        strides: contiguousStrides(node.type.axes),
      });
      if (node.op === "input") {
        const { name } = attributesOf(node, "input");
        const buffer = this.#assembly.addBuffer(name, "input", node.type.dtype, node.type.axes);
        this.#storage.set(node.id, whole(buffer));
        inputs.push(this.#port(name, buffer, node.type.axes));
      } else if (node.op === "parameter") {
        const { name } = attributesOf(node, "parameter");
        this.#storage.set(
          node.id,
          whole(this.#assembly.sharedBuffer(name, "weights", node.type.dtype, node.type.axes)),
        );
      } else if (node.op === "stateRead" || node.op === "stateAppend" || node.op === "stateWrite") {
        if (!this.#isSaved(node)) this.#storage.set(node.id, this.#stateStorage(node));
      }
    }
    return inputs;
  }

  /** A read that is copied out of the state, because a later write comes before its last reader. */
  #isSaved({ op, id }: GraphNode): boolean {
    return op === "stateRead" && this.#fused.groupOf[id] !== -1;
  }

  #stateStorage({ attributes }: GraphNode): Storage {
    const { state } = attributes as { readonly state: string };
    const { buffer, spec } = this.#assembly.stateBuffer(this.#graph, state);
    return { buffer, offset: constantSum(0), strides: contiguousStrides(spec.type.axes) };
  }

  #port(name: string, buffer: number, axes: readonly Axis[]): PlanPort {
    return { name, buffer, shape: axes.map((one) => this.#assembly.affine(sumOf(one.size))) };
  }

  /** Buffers for what must be stored: a state's own memory where possible, the output's, else an activation. */
  #declareStored(): { node: NodeId; port: PlanPort; written: boolean }[] {
    for (const node of this.#graph.nodes) {
      if (node.op === "stateAppend") this.#appendInPlace(node);
    }
    const outputs = this.#graph.outputs.map((output) => {
      const { type } = this.#graph.nodes[output.node]!;
      const buffer = this.#assembly.addBuffer(output.name, "output", type.dtype, type.axes);
      const written = this.#isComputed(output.node) && !this.#storage.has(output.node);
      if (written) {
        this.#storage.set(output.node, {
          buffer,
          offset: constantSum(0),
          strides: contiguousStrides(type.axes),
        });
      }
      return { node: output.node, port: this.#port(output.name, buffer, type.axes), written };
    });
    // In the order of the model, whatever the order in which fusion found them.
    for (const id of [...this.#fused.stored].sort((a, b) => a - b)) {
      if (this.#storage.has(id)) continue;
      const { type } = this.#graph.nodes[id]!;
      const buffer = this.#assembly.addBuffer(
        valueName(this.#graph, id),
        "activations",
        type.dtype,
        type.axes,
      );
      this.#storage.set(id, { buffer, offset: constantSum(0), strides: contiguousStrides(type.axes) });
    }
    return outputs;
  }

  #isComputed(id: NodeId): boolean {
    const view = this.#fused.viewOf(id);
    return view !== undefined && view.base === id && this.#fused.groupOf[id] !== -1 && !this.#direct.has(id);
  }

  /** New rows that only the state needs are written there by their own kernel. */
  #appendInPlace(node: GraphNode): void {
    const value = node.inputs[0]!;
    const readers = this.#graph.nodes.filter((one) => one.inputs.includes(value));
    const computed = this.#fused.viewOf(value)?.base === value && this.#fused.stored.has(value);
    const group = this.#fused.groups[this.#fused.groupOf[value] ?? -1];
    const writes = group?.kind === "rows" || group?.kind === "matmul";
    const isOutput = this.#graph.outputs.some((one) => one.node === value);
    if (readers.length !== 1 || !computed || !writes || isOutput) return;
    // The value's kernel runs before the append: nothing else may be done to the state, which would have an order.
    if (this.#opsOnStateOf(node).length > 1) return;
    const target = this.#appendTarget(node);
    this.#storage.set(value, target);
    this.#direct.set(value, target);
  }

  #opsOnStateOf({ attributes }: GraphNode): GraphNode[] {
    const { state } = attributes as { readonly state: string };
    return this.#graph.nodes.filter((one) => (one.attributes as { state?: unknown }).state === state);
  }

  /** Whether an output is what a state holds before the program; refused where it is what a later op overwrites. */
  #isStateAtStart(output: NodeId): boolean {
    const base = this.#fused.viewOf(output)?.base;
    const node = base === undefined ? undefined : this.#graph.nodes[base]!;
    if (node === undefined || (node.attributes as { state?: unknown }).state === undefined) return false;
    if (this.#isSaved(node)) return false;
    const writers = this.#opsOnStateOf(node).filter(({ op }) => op !== "stateRead");
    if (node.op === "stateRead" && writers.every(({ id }) => id > node.id)) return true;
    if (!writers.some(({ id }) => id > node.id)) return false;
    throw new WeftError([
      unsupportedProblem("emit", "an output must not be a state's value between two writes", {
        path: node.origin.path,
        given: valueName(this.#graph, node.id),
        remedy: "compute something from it, or give it out in a program of its own",
      }),
    ]);
  }

  #appendTarget(node: GraphNode): Storage {
    const { state, axis, into, past } = attributesOf(node, "stateAppend");
    const { buffer, spec } = this.#assembly.stateBuffer(this.#graph, state);
    const own = contiguousStrides(spec.type.axes);
    const step = own.get(into)!;
    const offset = scaleSum({ constant: 0, terms: new Map([[past, 1]]) }, step);
    return {
      buffer,
      offset,
      strides: new Map([...own].map(([name, stride]) => [name === into ? axis : name, stride])),
    };
  }

  #storageOf(id: NodeId): Storage | undefined {
    const view = this.#fused.viewOf(id);
    if (view === undefined) return undefined;
    const base = this.#storage.get(view.base);
    if (base === undefined) {
      throw new WeftError([
        internalProblem("emit", "a value that is read must be stored", { given: valueName(this.#graph, id) }),
      ]);
    }
    return view.base === id ? base : throughView(base, view.offset, view.strides);
  }

  #context(bindings: Bindings, own: ReadonlySet<NodeId>): BodyContext {
    return {
      graph: this.#graph,
      assembly: this.#assembly,
      storageOf: (id) => this.#storageOf(id),
      targetOf: (id) => {
        const stored = own.has(id) && this.#fused.stored.has(id) ? this.#storage.get(id) : undefined;
        return stored === undefined ? [] : [stored];
      },
      slot: (buffer, access) => bindings.slot(buffer, access),
    };
  }

  #push(kernel: Kernel, bindings: Bindings, group: FusedGroup): void {
    this.#steps.push({
      kernel: this.#assembly.addKernel(kernel),
      bindings: bindings.buffers,
      origins: originsOf(this.#graph, nodesOf(group)),
    });
    this.#groups.push(group);
  }

  #group(group: FusedGroup): void {
    switch (group.kind) {
      case "rows": {
        const bindings = new Bindings(this.#assembly);
        const builder = new BodyBuilder(this.#context(bindings, group.nodes), group.space, group.nodes);
        builder.compute();
        const name = kernelName(this.#graph, [...group.nodes]);
        this.#push(
          { kind: "rows", name, slots: bindings.slots, program: builder.program() },
          bindings,
          group,
        );
        return;
      }
      case "matmul":
        this.#matmul(group);
        return;
      case "attention":
        this.#attention(group);
        return;
      case "topK":
        this.#topK(group);
        return;
      case "contract":
        this.#contract(group);
        return;
      case "move":
        this.#move(group, group.node);
        return;
      case "state":
        this.#state(group, group.node);
        return;
      default:
        group satisfies never;
    }
  }

  #matmul(group: FusedMatmul): void {
    const bindings = new Bindings(this.#assembly);
    const prologue = new BodyBuilder(
      this.#context(bindings, group.prologue.nodes),
      group.prologue.space,
      group.prologue.nodes,
    );
    prologue.compute();
    prologue.finishWith(prologue.operand(group.operand));
    const groups = group.columns.map((columns) => {
      const builder = new BodyBuilder(this.#context(bindings, columns.nodes), columns.space, columns.nodes);
      const weights = columns.dots.map((dot) => {
        const storage = this.#storageOf(this.#graph.nodes[dot]!.inputs[1]!)!;
        return bindings.slot(storage.buffer, "read");
      });
      columns.dots.forEach((dot, index) => {
        builder.accumulator(dot, index);
      });
      builder.compute();
      const size = (axes: readonly Axis[]) =>
        axes.reduce((product, one) => product * (one.size as number), 1);
      const columnLoops = columns.space.loops.slice(group.prologue.space.loops.length);
      return { weights, columns: size(columnLoops) * size(columns.space.row), epilogue: builder.program() };
    });
    const program = prologue.program();
    const contracted = program.row.extent.constant;
    const inputDtype = planDtype(this.#graph.nodes[group.operand]!.type.dtype);
    const name = kernelName(this.#graph, nodesOf(group));
    const { slots } = bindings;
    this.#push(
      { kind: "matmul", name, slots, rows: program.loops, contracted, inputDtype, prologue: program, groups },
      bindings,
      group,
    );
  }

  #attention(group: FusedGroup & { kind: "attention" }): void {
    const node = this.#graph.nodes[group.node]!;
    const attributes = attributesOf(node, "attend");
    const [query, key, value, index] = node.inputs as readonly [NodeId, NodeId, NodeId, NodeId];
    const bindings = new Bindings(this.#assembly);
    const size = (id: NodeId, name: string) =>
      this.#graph.nodes[id]!.type.axes.find((one) => one.name === name)!.size;
    const keyAxis = attributes.keys ?? attributes.sequence;
    const access = (
      storage: Storage,
      position: string,
      heads: string,
      kind: "read" | "write",
    ): HeadsAccess => {
      if (storage.strides.get(attributes.headDim) !== 1 || storage.strides.size !== 3) {
        throw new WeftError([
          unsupportedProblem(
            "attend",
            "queries, keys and values must have the axes sequence, heads and headDim only",
            {
              path: node.origin.path,
              given: [...storage.strides.keys()].join(", "),
              remedy: "compile with attend decomposed",
            },
          ),
        ]);
      }
      return {
        slot: bindings.slot(storage.buffer, kind),
        offset: this.#assembly.affine(storage.offset),
        positionStride: storage.strides.get(position)!,
        headStride: storage.strides.get(heads)!,
      };
    };
    const place = indexExpression(this.#graph, index);
    if (place === undefined && attributes.causal) {
      throw new WeftError([
        unsupportedProblem("attend", "the queries' index must be a position", {
          path: node.origin.path,
          remedy: "compile with attend decomposed",
        }),
      ]);
    }
    const { kvHeads, heads, headDim, causal, scale, sequence } = attributes;
    const kernel: Kernel = {
      kind: "attention",
      name: kernelName(this.#graph, [node.id]),
      slots: bindings.slots,
      queries: this.#assembly.affine(sumOf(size(query, sequence))),
      keys: this.#assembly.affine(sumOf(size(key, keyAxis))),
      past: this.#assembly.affine(causal ? place!.offset : constantSum(0)),
      heads: size(query, heads) as number,
      kvHeads: size(key, kvHeads) as number,
      headDim: size(query, headDim) as number,
      scale,
      causal,
      query: access(this.#storageOf(query)!, sequence, heads, "read"),
      key: access(this.#storageOf(key)!, keyAxis, kvHeads, "read"),
      value: access(this.#storageOf(value)!, keyAxis, kvHeads, "read"),
      output: access(this.#storage.get(node.id)!, sequence, heads, "write"),
    };
    this.#push(kernel, bindings, group);
  }

  #topK(group: FusedGroup & { kind: "topK" }): void {
    const node = this.#graph.nodes[group.node]!;
    const { axis, count } = attributesOf(node, "topK");
    const bindings = new Bindings(this.#assembly);
    const input = node.inputs[0]!;
    const { axes } = this.#graph.nodes[input]!.type;
    const outer = axes.filter((one) => one.name !== axis);
    const access = (storage: Storage, row: string, kind: "read" | "write"): Access => ({
      slot: bindings.slot(storage.buffer, kind),
      offset: this.#assembly.affine(storage.offset),
      strides: outer.map((one) => storage.strides.get(one.name) ?? 0),
      rowStride: storage.strides.get(row)!,
    });
    const kernel: Kernel = {
      kind: "topK",
      name: kernelName(this.#graph, [node.id]),
      slots: bindings.slots,
      loops: outer.map((one) => ({ axis: one.name, extent: this.#assembly.affine(sumOf(one.size)) })),
      length: axes.find((one) => one.name === axis)!.size as number,
      count,
      input: access(this.#storageOf(input)!, axis, "read"),
      output: access(this.#storage.get(node.id)!, "valueAndIndex", "write"),
    };
    this.#push(kernel, bindings, group);
  }

  #contract(group: FusedGroup & { kind: "contract" }): void {
    const node = this.#graph.nodes[group.node]!;
    const { contract } = attributesOf(node, "dot");
    const [a, b] = [node.inputs[0]!, node.inputs[1]!];
    const bindings = new Bindings(this.#assembly);
    const loop = (axis: Axis): Loop => ({ axis: axis.name, extent: this.#assembly.affine(sumOf(axis.size)) });
    const contracted = contract.map(
      (name) => this.#graph.nodes[a]!.type.axes.find((one) => one.name === name)!,
    );
    const access = (storage: Storage, axes: readonly Axis[], kind: "read" | "write"): Access => ({
      slot: bindings.slot(storage.buffer, kind),
      offset: this.#assembly.affine(storage.offset),
      strides: axes.map((one) => storage.strides.get(one.name) ?? 0),
      rowStride: 0,
    });
    const all = [...node.type.axes, ...contracted];
    const kernel: Kernel = {
      kind: "contract",
      name: kernelName(this.#graph, [node.id]),
      slots: bindings.slots,
      loops: node.type.axes.map(loop),
      contracted: contracted.map(loop),
      a: access(this.#storageOf(a)!, all, "read"),
      b: access(this.#storageOf(b)!, all, "read"),
      out: access(this.#storage.get(node.id)!, node.type.axes, "write"),
    };
    this.#push(kernel, bindings, group);
  }

  /** A copy of one value to a place, along its own axes; from `source` if given, else from where the value lies. */
  #copy(group: FusedGroup, value: NodeId, target: Storage, name: string, source?: Storage): void {
    const { axes } = this.#graph.nodes[value]!.type;
    const bindings = new Bindings(this.#assembly);
    const space: Space = { loops: axes.slice(0, -1), row: axes.slice(-1) };
    const context = this.#context(bindings, new Set());
    const own = source === undefined ? context : { ...context, storageOf: () => source };
    const builder = new BodyBuilder(own, space, new Set());
    builder.store(value, target);
    this.#push({ kind: "rows", name, slots: bindings.slots, program: builder.program() }, bindings, group);
  }

  #move(group: FusedGroup, id: NodeId): void {
    const node = this.#graph.nodes[id]!;
    const target = this.#storage.get(id)!;
    if (node.op === "stateRead") {
      this.#copy(group, id, target, "save", this.#stateStorage(node));
      return;
    }
    if (node.op !== "concat") {
      const source = this.#graph.nodes[node.inputs[0]!]!;
      this.#copy(group, source.id, { ...target, strides: contiguousStrides(source.type.axes) }, "copy");
      return;
    }
    const { axis } = attributesOf(node, "concat");
    const step = target.strides.get(axis)!;
    let start = 0;
    for (const input of node.inputs) {
      const offset = addSums(target.offset, constantSum(start * step));
      this.#copy(group, input, { ...target, offset }, "concat");
      start += this.#graph.nodes[input]!.type.axes.find((one) => one.name === axis)!.size as number;
    }
  }

  #state(group: FusedGroup, id: NodeId): void {
    const node = this.#graph.nodes[id]!;
    const value = node.inputs[0]!;
    if (this.#direct.has(value)) return;
    const target = node.op === "stateAppend" ? this.#appendTarget(node) : this.#storage.get(id)!;
    this.#copy(group, value, target, node.op === "stateAppend" ? "append" : "write");
  }

  /** Outputs that no kernel computes into their buffer: an input, a view, a value that is two outputs. */
  #copyOutputs(outputs: readonly { node: NodeId; port: PlanPort; written: boolean }[]): void {
    for (const { node, port, written } of outputs) {
      if (written) continue;
      const strides = contiguousStrides(this.#graph.nodes[node]!.type.axes);
      const target: Storage = { buffer: port.buffer, offset: constantSum(0), strides };
      this.#copy({ kind: "move", node }, node, target, "copy");
    }
  }
}
