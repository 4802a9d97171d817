/** Which nodes are together, and the check that being together never makes a group wait for itself. */
import type { Graph, NodeId } from "@weft/dsl";

export class Partition {
  readonly #graph: Graph;
  /** For each node what must be computed before it; in a graph without order among states, just its inputs. */
  readonly #waits: readonly (readonly NodeId[])[];
  readonly #hasStateOrder: boolean;
  /** Whether nothing waits for a value but those that read it. */
  readonly #isDataOrder: boolean;
  /** FusedGroup number by node; -1: on its own. */
  readonly groupOf: Int32Array;
  readonly #members: NodeId[][] = [];
  readonly #largest: NodeId[] = [];

  /** @param waits for each node, earlier nodes that must be computed before it: its inputs, and what states ask for. */
  constructor(graph: Graph, waits: readonly (readonly NodeId[])[]) {
    this.#graph = graph;
    this.#waits = waits;
    this.#hasStateOrder = graph.nodes.some(({ id, inputs }) => waits[id] !== inputs);
    this.#isDataOrder = !this.#hasStateOrder && graph.nodes.every(({ op }) => op !== "after");
    this.groupOf = new Int32Array(graph.nodes.length).fill(-1);
  }

  isFree(id: NodeId): boolean {
    return this.groupOf[id] === -1;
  }

  form(nodes: Iterable<NodeId>): number {
    const group = this.#members.length;
    const members = [...nodes];
    for (const id of members) this.groupOf[id] = group;
    this.#members.push(members);
    this.#largest.push(members.reduce((most, id) => Math.max(most, id), -1));
    return group;
  }

  extend(group: number, nodes: Iterable<NodeId>): void {
    for (const id of nodes) {
      this.groupOf[id] = group;
      this.#members[group]!.push(id);
      this.#largest[group] = Math.max(this.#largest[group]!, id);
    }
  }

  /** Why the nodes cannot be one group, with regard to the order of groups; undefined where they can. */
  refuseTogether(nodes: ReadonlySet<NodeId>): string | undefined {
    let smallest = Number.POSITIVE_INFINITY;
    for (const id of nodes) smallest = Math.min(smallest, id);
    return this.#refuse(nodes, nodes, smallest);
  }

  /**
   * The same of nodes that can be one group and a reader of them, which is among them now. What they wait for cannot wait
   * for the reader, or it would wait for them as well: so only what the reader waits for is gone through.
   * @param smallest the first of the nodes
   */
  refuseReader(nodes: ReadonlySet<NodeId>, reader: NodeId, smallest: NodeId): string | undefined {
    return this.#refuse(nodes, [reader], smallest);
  }

  /**
   * The same of nodes that can be one group and a value that they alone read, which is among them now. Where data alone
   * makes an order, nothing can be between the value and its readers.
   */
  refuseProducer(nodes: ReadonlySet<NodeId>): string | undefined {
    return this.#isDataOrder ? undefined : this.refuseTogether(nodes);
  }

  #refuse(nodes: ReadonlySet<NodeId>, from: Iterable<NodeId>, smallest: NodeId): string | undefined {
    if (!this.#waitsForItself(nodes, from, smallest, (id) => this.#waits[id]!)) return undefined;
    const isOfData =
      !this.#hasStateOrder ||
      this.#waitsForItself(nodes, from, smallest, (id) => this.#graph.nodes[id]!.inputs);
    return isOfData
      ? "the kernel would wait for itself"
      : "the kernel would need a state both before and after it is written";
  }

  /** Whether something leaves the set of nodes, from some of them, and comes back into it through other groups. */
  #waitsForItself(
    nodes: ReadonlySet<NodeId>,
    from: Iterable<NodeId>,
    smallest: NodeId,
    waitsOf: (id: NodeId) => readonly NodeId[],
  ): boolean {
    const visited = new Set<NodeId>();
    const pending: NodeId[] = [];
    const reach = (id: NodeId) => {
      const group = this.groupOf[id]!;
      // Everything before the set's first node cannot depend on the set.
      const last = group === -1 ? id : this.#largest[group]!;
      if (last < smallest || visited.has(id)) return;
      for (const member of group === -1 ? [id] : this.#members[group]!) {
        visited.add(member);
        pending.push(member);
      }
    };
    for (const id of from) {
      for (const before of waitsOf(id)) if (!nodes.has(before)) reach(before);
    }
    for (let id = pending.pop(); id !== undefined; id = pending.pop()) {
      if (nodes.has(id)) return true;
      for (const before of waitsOf(id)) {
        if (nodes.has(before)) return true;
        reach(before);
      }
    }
    return false;
  }
}
