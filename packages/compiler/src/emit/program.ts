/** emit: the groups of a fused graph become kernels and steps of one program. */
import type { NodeId } from "@weft/dsl";
import { addSums, constantSum } from "../fusion/affine.ts";
import { type FusedGraph, type FusedGroup, nodesOf, type Space } from "../fusion/types.ts";
import { contiguousStrides } from "../fusion/view.ts";
import { attributesOf } from "../passes/rewrite.ts";
import type { PlanProgram, PlanStep } from "../plan/types.ts";
import { attentionBackwardKernel, attentionForwardKernel, attentionKernel } from "./attention.ts";
import { Bindings } from "./bindings.ts";
import { BodyBuilder } from "./body.ts";
import {
  contextOf,
  contractKernel,
  type Emitted,
  type KernelSite,
  matmulKernel,
  rowsKernel,
  scatterAddKernel,
  topKKernel,
} from "./kernels.ts";
import { lossHeadKernel } from "./loss-head.ts";
import { originsOf } from "./naming.ts";
import { type OutputPlace, Places } from "./places.ts";
import type { PlanAssembly, Storage } from "./storage.ts";

export interface ProgramSource {
  readonly name: string;
  readonly fused: FusedGraph;
  /** It makes gradients. */
  readonly trains?: boolean;
}

export interface EmittedProgram {
  readonly program: PlanProgram;
  /** For each step, the group that it came from. */
  readonly groups: readonly FusedGroup[];
}

export function emitProgram(
  { fused, name, trains = false }: ProgramSource,
  assembly: PlanAssembly,
): EmittedProgram {
  return new ProgramEmitter(fused, assembly, trains).run(name);
}

class ProgramEmitter {
  readonly #fused: FusedGraph;
  readonly #assembly: PlanAssembly;
  readonly #places: Places;
  readonly #site: KernelSite;
  readonly #steps: PlanStep[] = [];
  readonly #groups: FusedGroup[] = [];

  constructor(fused: FusedGraph, assembly: PlanAssembly, trains: boolean) {
    this.#fused = fused;
    this.#assembly = assembly;
    this.#places = new Places(fused, assembly);
    this.#site = { graph: fused.graph, assembly, places: this.#places, stored: fused.stored, trains };
  }

  get #graph() {
    return this.#fused.graph;
  }

  run(name: string): EmittedProgram {
    this.#assembly.declareSymbols(this.#graph.symbols);
    const inputs = this.#places.declareLeaves();
    const outputs = this.#places.declareStored();
    const isFirst = ({ node }: { node: NodeId }) => this.#places.isStateAtStart(node);
    this.#copyOutputs(outputs.filter(isFirst));
    for (const group of this.#fused.groups) this.#group(group);
    this.#copyOutputs(outputs.filter((one) => !isFirst(one)));
    return {
      program: { name, inputs, outputs: outputs.map((one) => one.port), steps: this.#steps },
      groups: this.#groups,
    };
  }

  #push({ kernel, bindings }: Emitted, group: FusedGroup): void {
    this.#steps.push({
      kernel: this.#assembly.addKernel(kernel),
      bindings: bindings.buffers,
      origins: originsOf(this.#graph, nodesOf(group)),
    });
    this.#groups.push(group);
  }

  #group(group: FusedGroup): void {
    switch (group.kind) {
      case "rows":
        this.#push(rowsKernel(group, this.#site), group);
        return;
      case "matmul":
        this.#push(matmulKernel(group, this.#site), group);
        return;
      case "attention":
        this.#push(attentionKernel(group, this.#site), group);
        return;
      case "attentionForward":
        this.#push(attentionForwardKernel(group, this.#site), group);
        return;
      case "attentionBackward":
        this.#push(attentionBackwardKernel(group, this.#site), group);
        return;
      case "topK":
        this.#push(topKKernel(group, this.#site), group);
        return;
      case "lossHead":
        this.#push(lossHeadKernel(group, this.#site), group);
        return;
      case "scatterAdd":
        this.#push(scatterAddKernel(group, this.#site), group);
        return;
      case "contract":
        this.#push(contractKernel(group, this.#site), group);
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

  /** A copy of one value to a place, along its own axes; from `source` if given, else from where the value lies. */
  #copy(group: FusedGroup, value: NodeId, target: Storage, name: string, source?: Storage): void {
    const { axes } = this.#graph.nodes[value]!.type;
    const bindings = new Bindings(this.#assembly);
    const space: Space = { loops: axes.slice(0, -1), row: axes.slice(-1) };
    const context = contextOf(this.#site, bindings, new Set());
    const own = source === undefined ? context : { ...context, storageOf: () => source };
    const builder = new BodyBuilder(own, space, new Set());
    builder.store(value, target);
    const kernel = { kind: "rows", name, slots: bindings.slots, program: builder.program() } as const;
    this.#push({ kernel, bindings }, group);
  }

  #move(group: FusedGroup, id: NodeId): void {
    const node = this.#graph.nodes[id]!;
    const target = this.#places.targetOf(id)!;
    if (node.op === "stateRead") {
      this.#copy(group, id, target, "save", this.#places.stateStorage(node));
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
    if (this.#places.isWrittenInPlace(value)) return;
    const target = node.op === "stateAppend" ? this.#places.appendTarget(node) : this.#places.targetOf(id)!;
    this.#copy(group, value, target, node.op === "stateAppend" ? "append" : "write");
  }

  /** Outputs that no kernel computes into their buffer: an input, a view, a value that is two outputs. */
  #copyOutputs(outputs: readonly OutputPlace[]): void {
    for (const { node, port, written } of outputs) {
      if (written) continue;
      const strides = contiguousStrides(this.#graph.nodes[node]!.type.axes);
      const target: Storage = { buffer: port.buffer, offset: constantSum(0), strides };
      this.#copy({ kind: "move", node }, node, target, "copy");
    }
  }
}
