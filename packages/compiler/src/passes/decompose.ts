/**
 * decompose: composite ops are replaced by their definitions, down to primitives. Those that the target has a kernel
 * template for may be kept whole.
 */
import { GraphBuilder, inferType, type NodeId, type OpAttributes, type OpName, opTable } from "@weft/dsl";
import type { Pass } from "./pass.ts";
import { placeOf } from "./pass.ts";
import { copyNode, dropDead } from "./rewrite.ts";

/** A builder to which composites can be added and in which they never arrive. */
class DecomposingBuilder extends GraphBuilder {
  readonly #keep: ReadonlySet<OpName>;

  constructor(keep: ReadonlySet<OpName>) {
    super();
    this.#keep = keep;
  }

  override add<K extends OpName>(op: K, inputs: readonly NodeId[], attributes: OpAttributes[K]): NodeId {
    const meaning = opTable[op].meaning;
    if (meaning.tag !== "definition" || this.#keep.has(op)) return super.add(op, inputs, attributes);
    const types = inputs.map((id) => this.type(id));
    const result = inferType(op, types, attributes, this.origin);
    const origin = this.origin;
    this.origin = { ...origin, composite: origin.composite ?? op };
    const id = meaning.define(this, inputs, attributes, result);
    this.origin = origin;
    return id;
  }
}

export function decompose(keep: readonly OpName[] = []): Pass {
  return {
    name: "decompose",
    summary:
      keep.length === 0
        ? "every composite becomes primitives"
        : `composites but ${keep.join(", ")} become primitives`,
    run: (graph, log) => {
      const kept = new Set(keep);
      const builder = new DecomposingBuilder(kept);
      for (const symbol of graph.symbols) builder.declareSymbol(symbol);
      for (const state of graph.states) builder.declareState(state);
      const replacement: NodeId[] = [];
      for (const node of graph.nodes) {
        builder.origin = node.origin;
        if (opTable[node.op].meaning.tag === "definition" && !kept.has(node.op))
          log.fired(node.op, placeOf(node));
        replacement.push(
          copyNode(
            builder,
            node,
            node.inputs.map((id) => replacement[id]!),
          ),
        );
      }
      const outputs = graph.outputs.map((one) => ({ name: one.name, node: replacement[one.node]! }));
      return dropDead(builder.finish(graph.name, outputs));
    },
  };
}
