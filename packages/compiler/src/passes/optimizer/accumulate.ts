/** accumulateGradients: the half of an update that several passes share. */
import type { NodeId } from "@weft/dsl";
import type { Pass } from "../pass.ts";
import { optimizerStates, readState } from "./states.ts";
import { TrainedGraph, Writes } from "./trained-graph.ts";

export interface AccumulateOptions {
  readonly loss: string;
  /** The output that counts the tokens behind the loss, f32[]: each pass weighs by it. */
  readonly tokens: string;
}

/**
 * Gradients are added to states in place of being given out. Each pass counts by its tokens, so that passes of unequal
 * size give together what one pass over all of them would.
 */
export function accumulateGradients({ loss, tokens }: AccumulateOptions): Pass {
  return {
    name: "accumulateGradients",
    summary: "gradients, loss and tokens are added to states",
    run: (graph, log) => {
      const site = new TrainedGraph(graph, "accumulateGradients", loss);
      const { builder } = site;
      const add = builder.add.bind(builder);
      const count = site.output(tokens);
      // No token counts: the loss is 0 / 0 there, and says nothing.
      const counts = add("less", [builder.constant(0), count], {});
      const weigh = (value: NodeId) =>
        add("select", [counts, add("mul", [value, count], {}), builder.constant(0)], {});
      const writes = new Writes(builder);
      const addTo = (state: string, value: NodeId) => {
        const { axes } = builder.type(value);
        const before = readState(builder, state, { dtype: "f32", axes });
        writes.put(state, add("add", [before, value], {}));
      };
      for (const { name, node } of site.gradients) {
        log.fired("accumulate", name);
        builder.origin = { ...site.parameterNode(name).origin, composite: "accumulate" };
        addTo(optimizerStates.gradient(name), weigh(node));
      }
      builder.origin = { path: "optimizer", composite: "sum" };
      addTo(optimizerStates.loss, weigh(site.loss));
      addTo(optimizerStates.tokens, count);
      writes.finish();
      return site.finish([]);
    },
  };
}
