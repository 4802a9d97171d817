/** The kernels of attention: for inference, and the two directions of a training step. */
import { type Graph, type NodeId, type OpAttributes, unsupportedProblem, WeftError } from "@weft/dsl";
import { addSums, constantSum, type SymbolicSum, sumOf } from "../fusion/affine.ts";
import { attentionIndex } from "../fusion/attention.ts";
import { indexExpression } from "../fusion/index-arithmetic.ts";
import {
  type FusedAttention,
  type FusedAttentionBackward,
  type FusedAttentionForward,
  nodesOf,
} from "../fusion/types.ts";
import { attributesOf } from "../passes/rewrite.ts";
import type { Access, HeadsAccess } from "../plan/types.ts";
import { Bindings } from "./bindings.ts";
import type { Emitted, KernelSite } from "./kernels.ts";
import { kernelName } from "./naming.ts";
import type { Storage } from "./storage.ts";

/** What the kernels of one attention op have in common. */
class AttentionSite {
  readonly bindings: Bindings;
  readonly attributes: OpAttributes["attend"];
  readonly #site: KernelSite;
  readonly #node: NodeId;

  constructor(site: KernelSite, node: NodeId) {
    this.bindings = new Bindings(site.assembly);
    this.attributes = attributesOf(site.graph.nodes[node]!, "attend");
    this.#site = site;
    this.#node = node;
  }

  get #graph(): Graph {
    return this.#site.graph;
  }

  size(id: NodeId, name: string) {
    return this.#graph.nodes[id]!.type.axes.find((one) => one.name === name)!.size;
  }

  get keyAxis(): string {
    return this.attributes.keys ?? this.attributes.sequence;
  }

  /** @param first the head at which the operand begins in what is stored. */
  #heads(storage: Storage, position: string, heads: string, kind: "read" | "write", first = 0): HeadsAccess {
    const { assembly } = this.#site;
    if (storage.strides.get(this.attributes.headDim) !== 1 || storage.strides.size !== 3) {
      throw new WeftError([
        unsupportedProblem(
          "attend",
          "queries, keys and values must have the axes sequence, heads and headDim only",
          {
            path: this.#graph.nodes[this.#node]!.origin.path,
            given: [...storage.strides.keys()].join(", "),
            remedy: "compile with attend decomposed",
          },
        ),
      ]);
    }
    const headStride = storage.strides.get(heads)!;
    return {
      slot: this.bindings.slot(storage.buffer, kind),
      offset: assembly.affine(addSums(storage.offset, constantSum(first * headStride))),
      positionStride: storage.strides.get(position)!,
      headStride,
    };
  }

  /** Queries, or what lies as they do. */
  queries(id: NodeId): HeadsAccess {
    const { sequence, heads } = this.attributes;
    return this.#heads(this.#site.places.storageOf(id)!, sequence, heads, "read");
  }

  keys(id: NodeId): HeadsAccess {
    return this.#heads(this.#site.places.storageOf(id)!, this.keyAxis, this.attributes.kvHeads, "read");
  }

  /** The result, or the part of it that begins at head `first`. */
  result(id: NodeId, first = 0): HeadsAccess {
    const { sequence, heads } = this.attributes;
    return this.#heads(this.#site.places.targetOf(id)!, sequence, heads, "write", first);
  }

  values(storage: Storage, axes: readonly string[], kind: "read" | "write"): Access {
    return {
      slot: this.bindings.slot(storage.buffer, kind),
      offset: this.#site.assembly.affine(storage.offset),
      strides: axes.map((name) => storage.strides.get(name) ?? 0),
      rowStride: 0,
    };
  }

  starts(id: NodeId | undefined): Access[] {
    if (id === undefined) return [];
    return [this.values(this.#site.places.storageOf(id)!, [this.attributes.sequence], "read")];
  }

  /** Where the first query stands among the keys. */
  #past(index: NodeId): SymbolicSum {
    if (!this.attributes.causal) return constantSum(0);
    const place = indexExpression(this.#graph, index);
    if (place !== undefined) return place.offset;
    throw new WeftError([
      unsupportedProblem("attend", "the queries' index must be a position", {
        path: this.#graph.nodes[this.#node]!.origin.path,
        remedy: "compile with attend decomposed",
      }),
    ]);
  }

  sizes(query: NodeId, key: NodeId, index: NodeId) {
    const { assembly } = this.#site;
    const { kvHeads, heads, headDim, causal, scale, sequence } = this.attributes;
    return {
      queries: assembly.affine(sumOf(this.size(query, sequence))),
      keys: assembly.affine(sumOf(this.size(key, this.keyAxis))),
      past: assembly.affine(this.#past(index)),
      heads: this.size(query, heads) as number,
      kvHeads: this.size(key, kvHeads) as number,
      headDim: this.size(query, headDim) as number,
      scale,
      causal,
    };
  }
}

export function attentionKernel(group: FusedAttention, site: KernelSite): Emitted {
  const { graph } = site;
  const own = new AttentionSite(site, group.node);
  const [query, key, value, index] = graph.nodes[group.node]!.inputs as readonly [
    NodeId,
    NodeId,
    NodeId,
    NodeId,
  ];
  const { bindings } = own;
  const operands = {
    query: own.queries(query),
    key: own.keys(key),
    value: own.keys(value),
    output: own.result(group.node),
  };
  return {
    kernel: {
      kind: "attention",
      name: kernelName(graph, [group.node]),
      slots: bindings.slots,
      ...own.sizes(query, key, index),
      ...operands,
    },
    bindings,
  };
}

export function attentionForwardKernel(group: FusedAttentionForward, site: KernelSite): Emitted {
  const { graph, places } = site;
  const node = (group.attend ?? group.logSumExp)!;
  const own = new AttentionSite(site, node);
  const { inputs, op } = graph.nodes[node]!;
  const at = attentionIndex[op as "attend" | "attendLogSumExp"];
  const [query, key, index, starts] = [inputs[0]!, inputs[1]!, inputs[at]!, inputs[at + 1]];
  const { sequence, heads } = own.attributes;
  const { attend, logSumExp } = group;
  const { bindings } = own;
  const operands = {
    query: own.queries(query),
    key: own.keys(key),
    // Without a result, values are not read.
    value: own.keys(attend === undefined ? key : inputs[2]!),
    starts: own.starts(starts),
    outputs: attend === undefined ? [] : [own.result(attend)],
    logSumExps:
      logSumExp === undefined ? [] : [own.values(places.targetOf(logSumExp)!, [sequence, heads], "write")],
  };
  return {
    kernel: {
      kind: "attentionForward",
      name: kernelName(graph, nodesOf(group)),
      slots: bindings.slots,
      ...own.sizes(query, key, index),
      ...operands,
    },
    bindings,
  };
}

export function attentionBackwardKernel(group: FusedAttentionBackward, site: KernelSite): Emitted {
  const { graph, places } = site;
  const own = new AttentionSite(site, group.node);
  const [query, key, value, index, result, logSumExp, cotangent, starts] = graph.nodes[group.node]!.inputs;
  const { sequence, heads, kvHeads } = own.attributes;
  const [ofQueries, ofKeys] = [own.size(query!, heads) as number, own.size(key!, kvHeads) as number];
  const { bindings } = own;
  const operands = {
    query: own.queries(query!),
    key: own.keys(key!),
    value: own.keys(value!),
    starts: own.starts(starts),
    result: own.queries(result!),
    cotangent: own.queries(cotangent!),
    logSumExp: own.values(places.storageOf(logSumExp!)!, [sequence, heads], "read"),
    queryGradient: own.result(group.node),
    keyGradient: own.result(group.node, ofQueries),
    valueGradient: own.result(group.node, ofQueries + ofKeys),
  };
  return {
    kernel: {
      kind: "attentionBackward",
      name: kernelName(graph, [group.node]),
      slots: bindings.slots,
      ...own.sizes(query!, key!, index!),
      ...operands,
    },
    bindings,
  };
}
