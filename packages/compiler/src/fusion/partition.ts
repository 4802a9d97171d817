/** Which nodes are together, and the check that being together never makes a group wait for itself. */
import type { Graph, NodeId } from "@weft/dsl";

export class Partition {
  readonly #graph: Graph;
  /** FusedGroup number by node; -1: on its own. */
  readonly groupOf: Int32Array;
  readonly #members: NodeId[][] = [];
  readonly #largest: NodeId[] = [];

  constructor(graph: Graph) {
    this.#graph = graph;
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
    this.#largest.push(Math.max(...members));
    return group;
  }

  extend(group: number, nodes: Iterable<NodeId>): void {
    for (const id of nodes) {
      this.groupOf[id] = group;
      this.#members[group]!.push(id);
      this.#largest[group] = Math.max(this.#largest[group]!, id);
    }
  }

  /** Whether some value leaves the set of nodes and comes back into it through other groups. */
  wouldWaitForItself(nodes: ReadonlySet<NodeId>): boolean {
    let smallest = Number.POSITIVE_INFINITY;
    for (const id of nodes) smallest = Math.min(smallest, id);
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
    for (const id of nodes) {
      for (const input of this.#graph.nodes[id]!.inputs) if (!nodes.has(input)) reach(input);
    }
    for (let id = pending.pop(); id !== undefined; id = pending.pop()) {
      if (nodes.has(id)) return true;
      for (const input of this.#graph.nodes[id]!.inputs) {
        if (nodes.has(input)) return true;
        reach(input);
      }
    }
    return false;
  }
}
