/**
 * decompose: composite ops are replaced by their definitions, down to primitives. Those that the target has a kernel
 * template for may be kept whole.
 */
import { GraphBuilder, inferType, type NodeId, type OpAttributes, type OpName, opTable } from "@weft/dsl";
import type { Pass } from "./pass.ts";
import { placeOf } from "./pass.ts";
import { copyNode, dropDead } from "./rewrite.ts";

/** Whether the target has a kernel for a composite over these inputs. */
export type KeepComposite = (op: OpName, inputs: readonly NodeId[], builder: GraphBuilder) => boolean;

/** A builder to which composites can be added and in which they never arrive. */
class DecomposingBuilder extends GraphBuilder {
  readonly #keep: KeepComposite;

  constructor(keep: KeepComposite) {
    super();
    this.#keep = keep;
  }

  override add<K extends OpName>(op: K, inputs: readonly NodeId[], attributes: OpAttributes[K]): NodeId {
    const meaning = opTable[op].meaning;
    if (meaning.tag !== "definition" || this.#keep(op, inputs, this))
      return super.add(op, inputs, attributes);
    const types = inputs.map((id) => this.type(id));
    const result = inferType(op, types, attributes, this.origin);
    const origin = this.origin;
    this.origin = { ...origin, composite: origin.composite ?? op };
    const id = meaning.define(this, inputs, attributes, result);
    this.origin = origin;
    return id;
  }
}

export function decompose(keep: KeepComposite = () => false): Pass {
  return {
    name: "decompose",
    summary: "composites become primitives, but for those that the target has a kernel template for",
    run: (graph, log) => {
      const builder = new DecomposingBuilder(keep);
      for (const symbol of graph.symbols) builder.declareSymbol(symbol);
      for (const state of graph.states) builder.declareState(state);
      const replacement: NodeId[] = [];
      for (const node of graph.nodes) {
        builder.origin = node.origin;
        const id = copyNode(
          builder,
          node,
          node.inputs.map((input) => replacement[input]!),
        );
        replacement.push(id);
        if (opTable[node.op].meaning.tag !== "definition") continue;
        if (builder.node(id).op === node.op)
          log.refused("decompose", placeOf(node), `${node.op} has a kernel template`);
        else log.fired(node.op, placeOf(node));
      }
      const outputs = graph.outputs.map((one) => ({ name: one.name, node: replacement[one.node]! }));
      return dropDead(builder.finish(graph.name, outputs));
    },
  };
}
