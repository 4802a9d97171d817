/** How large a kernel may become. */
import type { NodeId } from "@weft/dsl";
import type { FusionContext } from "./legality.ts";

/**
 * Memory is read once for so many operations, so a longer kernel gains nothing; but each that joins is held against all
 * that are there, and compilers of kernels take their time for long texts.
 */
const mostNodes = 512;

export function refuseLength({ size }: ReadonlySet<NodeId>): string | undefined {
  return size > mostNodes ? `the kernel would have more than ${mostNodes} operations` : undefined;
}

/** Runtimes bind at most 64 buffers to a kernel; what grows behind this check is few. */
const mostBuffers = 48;

/** Values that a kernel of these nodes reads from memory or stores there. */
function buffersOf(
  { graph, classified, consumers, outputs }: FusionContext,
  nodes: ReadonlySet<NodeId>,
): number {
  const touched = new Set<NodeId>();
  for (const id of nodes) {
    if (outputs.has(id) || consumers[id]!.some((consumer) => !nodes.has(consumer))) touched.add(id);
    for (const input of graph.nodes[id]!.inputs) {
      const base = nodes.has(input) ? undefined : classified.views[input]?.base;
      if (base !== undefined) touched.add(base);
    }
  }
  return touched.size;
}

/** Whether nothing more fits into a kernel: whatever joins it brings an operation and a value of its own. */
export function isFull(context: FusionContext, nodes: ReadonlySet<NodeId>): boolean {
  return nodes.size >= mostNodes || buffersOf(context, nodes) >= mostBuffers;
}

export function isTooLarge(context: FusionContext, nodes: ReadonlySet<NodeId>): boolean {
  return nodes.size > mostNodes || buffersOf(context, nodes) > mostBuffers;
}

/** How many buffers a growing kernel touches. Long sums of single numbers are the case in which they are too many. */
export class BufferCount {
  readonly #context: FusionContext;
  /** No fewer than there are. Counted only where it says too many, because that takes as long as the kernel is. */
  #atMost: number;

  constructor(context: FusionContext, nodes: ReadonlySet<NodeId>) {
    this.#context = context;
    this.#atMost = buffersOf(context, nodes);
  }

  /** @param added a node that has just joined: it brings its own value, and those that it reads. */
  refuse(nodes: ReadonlySet<NodeId>, added: NodeId): string | undefined {
    this.#atMost += 1 + this.#context.graph.nodes[added]!.inputs.length;
    if (this.#atMost > mostBuffers) this.#atMost = buffersOf(this.#context, nodes);
    return this.#atMost > mostBuffers ? `the kernel would touch more than ${mostBuffers} buffers` : undefined;
  }
}
