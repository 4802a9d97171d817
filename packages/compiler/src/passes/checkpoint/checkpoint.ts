/**
 * checkpoint: what the way back needs of a block is kept, or computed again from what is kept.
 *
 * - It goes behind `grad` and over primitives (`lowered`), because only there is it plain what the way back reads: the
 *   rules of composites share their parts with the way forward.
 * - What is computed again stands where it is first wanted, from kept values that are read `after` a cotangent of the
 *   same block: so it cannot be what was computed before, and no order of kernels can draw it to the front.
 * - The same ops over the same values: gradients do not change.
 */
import { type Graph, GraphBuilder, type GraphNode, type NodeId } from "@weft/dsl";
import type { Pass, PassLog } from "../pass.ts";
import { placeOf } from "../pass.ts";
import { copyNode, dropDead, liveNodes } from "../rewrite.ts";
import { keptValues, type Recomputation } from "./keep.ts";
import { isFree, type Sides, sidesOf } from "./sides.ts";

export interface CheckpointOptions {
  /** The output that is the loss. */
  readonly loss: string;
  /** What is computed again of a block, the one at `index` of `count` on the way forward. */
  readonly recompute: (index: number, count: number, block: string) => Recomputation;
}

/** @throws WeftError when the run finds no output of the name `loss`. */
export function checkpoint({ loss, recompute }: CheckpointOptions): Pass {
  return {
    name: "checkpoint",
    summary: "values of the way forward are kept for the way back, or computed again",
    run: (graph, log) => {
      const sides = sidesOf(graph, loss);
      const keptOf = new Map<string, ReadonlySet<NodeId>>();
      sides.blocks.forEach((block, index) => {
        const choice = recompute(index, sides.blocks.length, block);
        if (choice !== "nothing") keptOf.set(block, keptValues(graph, sides, block, choice));
      });
      return keptOf.size === 0 ? graph : new Rewriting(graph, sides, keptOf, log).run();
    },
  };
}

const products: ReadonlySet<string> = new Set([
  "dot",
  "attendGradient",
  "scatterAdd",
  "crossEntropyGradient",
]);

class Rewriting {
  readonly #graph: Graph;
  readonly #sides: Sides;
  readonly #keptOf: ReadonlyMap<string, ReadonlySet<NodeId>>;
  readonly #log: PassLog;
  readonly #builder = new GraphBuilder();
  readonly #copies: NodeId[] = [];
  /** For each block the values that were computed again. */
  readonly #again = new Map<string, Map<NodeId, NodeId>>();
  /** For each block the value that the way back must have come to. */
  readonly #signs = new Map<string, NodeId>();

  constructor(graph: Graph, sides: Sides, keptOf: ReadonlyMap<string, ReadonlySet<NodeId>>, log: PassLog) {
    this.#graph = graph;
    this.#sides = sides;
    this.#keptOf = keptOf;
    this.#log = log;
  }

  run(): Graph {
    const graph = this.#graph;
    const { blockOf, isBackward } = this.#sides;
    const live = liveNodes(graph);
    for (const symbol of graph.symbols) this.#builder.declareSymbol(symbol);
    for (const state of graph.states) this.#builder.declareState(state);
    for (const node of graph.nodes) {
      if (!live[node.id]) continue;
      const block = isBackward[node.id] ? blockOf[node.id] : undefined;
      const kept = block === undefined ? undefined : this.#keptOf.get(block);
      const inputs = node.inputs.map((input) =>
        kept !== undefined && this.#mayComputeAgain(input, block!, kept)
          ? this.#computeAgain(input, block!, kept, node)
          : this.#copies[input]!,
      );
      this.#builder.origin = node.origin;
      this.#copies[node.id] = copyNode(this.#builder, node, inputs);
    }
    const outputs = graph.outputs.map(({ name, node }) => ({ name, node: this.#copies[node]! }));
    return dropDead(this.#builder.finish(graph.name, outputs));
  }

  #mayComputeAgain(id: NodeId, block: string, kept: ReadonlySet<NodeId>): boolean {
    const { blockOf, isBackward, isGiven } = this.#sides;
    const node = this.#graph.nodes[id]!;
    return blockOf[id] === block && !isBackward[id] && !kept.has(id) && !isGiven[id] && !isFree(node);
  }

  #computeAgain(id: NodeId, block: string, kept: ReadonlySet<NodeId>, reader: GraphNode): NodeId {
    let again = this.#again.get(block);
    if (again === undefined) {
      again = new Map();
      this.#again.set(block, again);
    }
    const present = again.get(id);
    if (present !== undefined) return present;
    const node = this.#graph.nodes[id]!;
    const given = node.inputs.map((input) => this.#graph.nodes[input]!);
    // Where nothing else is read, what is given at the start must say that this is the second time.
    // An index stays what it is: kernels compute it where they want it, and look through its arithmetic.
    const isGiven = (one: GraphNode) => this.#sides.isGiven[one.id]!;
    const reads = (one: GraphNode) => !isGiven(one) && !isFree(one) && one.type.dtype !== "i32";
    const isArgument = (one: GraphNode) => one.op === "input";
    const waiting = given.some(reads) ? reads : given.some(isArgument) ? isArgument : isGiven;
    const inputs = given.map((one) =>
      this.#mayComputeAgain(one.id, block, kept)
        ? this.#computeAgain(one.id, block, kept, reader)
        : waiting(one)
          ? this.#after(this.#copies[one.id]!, block, reader)
          : this.#copies[one.id]!,
    );
    this.#builder.origin = node.origin;
    const copy = copyNode(this.#builder, node, inputs);
    this.#log.fired("compute again", placeOf(node));
    again.set(id, copy);
    return copy;
  }

  #after(copy: NodeId, block: string, reader: GraphNode): NodeId {
    let sign = this.#signs.get(block);
    if (sign === undefined) {
      sign = this.#copies[this.#signFor(reader)]!;
      this.#signs.set(block, sign);
    }
    this.#builder.origin = reader.origin;
    return this.#builder.add("after", [copy, sign], {});
  }

  /**
   * A value of the way back that is there when the block's first reader comes. Results of products lie in memory anyway:
   * waiting for one of them costs nothing.
   */
  #signFor(reader: GraphNode): NodeId {
    const { needsHead } = this.#sides;
    const nearest = reader.inputs.filter((input) => needsHead[input]);
    const seen = new Set(nearest);
    for (const id of seen) {
      const node = this.#graph.nodes[id]!;
      if (products.has(node.op)) return id;
      for (const input of node.inputs) if (needsHead[input]) seen.add(input);
    }
    return nearest[0]!;
  }
}
