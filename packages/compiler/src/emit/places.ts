/** Where the values of a program lie: inputs, weights and states by themselves, what kernels store in buffers. */
import {
  type Axis,
  type Graph,
  type GraphNode,
  internalProblem,
  type NodeId,
  unsupportedProblem,
  WeftError,
} from "@weft/dsl";
import { constantSum, scaleSum, sumOf } from "../fusion/affine.ts";
import { opsByState } from "../fusion/state-order.ts";
import type { FusedGraph } from "../fusion/types.ts";
import { contiguousStrides } from "../fusion/view.ts";
import { attributesOf, consumersOf } from "../passes/rewrite.ts";
import type { PlanPort } from "../plan/types.ts";
import { throughView } from "./body.ts";
import { type PlanAssembly, type Storage, valueName } from "./storage.ts";

/** An output; `written` when a kernel computes it into its buffer, so that it need not be copied there. */
export interface OutputPlace {
  readonly node: NodeId;
  readonly port: PlanPort;
  readonly written: boolean;
}

export class Places {
  readonly #fused: FusedGraph;
  readonly #assembly: PlanAssembly;
  readonly #consumers: readonly (readonly NodeId[])[];
  readonly #storage = new Map<NodeId, Storage>();
  /** Further places that a value must be stored to: states that its group writes by itself. */
  readonly #direct = new Map<NodeId, Storage>();

  constructor(fused: FusedGraph, assembly: PlanAssembly) {
    this.#fused = fused;
    this.#assembly = assembly;
    this.#consumers = consumersOf(fused.graph);
  }

  get #graph(): Graph {
    return this.#fused.graph;
  }

  declareLeaves(): PlanPort[] {
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
        if (!this.#isSaved(node)) this.#storage.set(node.id, this.stateStorage(node));
      }
    }
    return inputs;
  }

  /** A read that is copied out of the state, because a later write comes before its last reader. */
  #isSaved({ op, id }: GraphNode): boolean {
    return op === "stateRead" && this.#fused.groupOf[id] !== -1;
  }

  stateStorage({ attributes }: GraphNode): Storage {
    const { state } = attributes as { readonly state: string };
    const { buffer, spec } = this.#assembly.stateBuffer(this.#graph, state);
    return { buffer, offset: constantSum(0), strides: contiguousStrides(spec.type.axes) };
  }

  #port(name: string, buffer: number, axes: readonly Axis[]): PlanPort {
    return { name, buffer, shape: axes.map((one) => this.#assembly.affine(sumOf(one.size))) };
  }

  /** Buffers for what must be stored: a state's own memory where possible, the output's, else an activation. */
  declareStored(): OutputPlace[] {
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
    const readers = this.#consumers[value]!;
    const computed = this.#fused.viewOf(value)?.base === value && this.#fused.stored.has(value);
    const group = this.#fused.groups[this.#fused.groupOf[value] ?? -1];
    const writes = group?.kind === "rows" || group?.kind === "matmul";
    const isOutput = this.#graph.outputs.some((one) => one.node === value);
    if (readers.length !== 1 || !computed || !writes || isOutput) return;
    // The value's kernel runs before the append: nothing else may be done to the state, which would have an order.
    if (this.#opsOnStateOf(node).length > 1) return;
    const target = this.appendTarget(node);
    this.#storage.set(value, target);
    this.#direct.set(value, target);
  }

  #opsOnStateOf({ attributes }: GraphNode): readonly GraphNode[] {
    const { state } = attributes as { readonly state: string };
    return opsByState(this.#graph).get(state) ?? [];
  }

  /** Whether an output is what a state holds before the program; refused where it is what a later op overwrites. */
  isStateAtStart(output: NodeId): boolean {
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

  appendTarget(node: GraphNode): Storage {
    const { state, axis, into, past } = attributesOf(node, "stateAppend");
    const { buffer, spec } = this.#assembly.stateBuffer(this.#graph, state);
    this.#assembly.growsAlong(
      buffer,
      spec.type.axes.findIndex(({ name }) => name === into),
    );
    const own = contiguousStrides(spec.type.axes);
    const step = own.get(into)!;
    const offset = scaleSum({ constant: 0, terms: new Map([[past, 1]]) }, step);
    return {
      buffer,
      offset,
      strides: new Map([...own].map(([name, stride]) => [name === into ? axis : name, stride])),
    };
  }

  storageOf(id: NodeId): Storage | undefined {
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

  /** Where a value that its group computes is stored; undefined where it is not. */
  targetOf(id: NodeId): Storage | undefined {
    return this.#storage.get(id);
  }

  /** Whether the value's own kernel writes it into the state. */
  isWrittenInPlace(id: NodeId): boolean {
    return this.#direct.has(id);
  }
}
