/**
 * The blocks of weights under training before the first update, and after weights were loaded: a program of its own, that
 * reads the weights' states and writes those of their blocks. A scale that is there already stays, so that a run which
 * goes on has the very blocks that it was stopped with; where it is 0, as states begin, it is made from the weight.
 */
import { GraphBuilder, userProblem, WeftError } from "@weft/dsl";
import type { Pass } from "../pass.ts";
import { blocksName, encodeScaleName } from "../quantize/names.ts";
import { attributesOf } from "../rewrite.ts";
import { blocksIn, optimizerStates, readState } from "./states.ts";
import { Writes } from "./trained-graph.ts";
import { encodeScaleOf, largestOf, writeScales } from "./write-blocks.ts";

/** In place of the graph, what makes the blocks that it reads of the trained parameters. Goes behind `precision`. */
export function makeBlocks(trained: (name: string) => boolean): Pass {
  return {
    name: "makeBlocks",
    summary: "blocks of trained parameters are made from their states",
    run: (graph, log) => {
      const { ofNode } = blocksIn(graph, trained);
      if (ofNode.size === 0) {
        throw new WeftError([
          userProblem("makeBlocks", "the graph must read a trained parameter in nvfp4", {
            remedy: "run quantize before",
          }),
        ]);
      }
      const builder = new GraphBuilder();
      const add = builder.add.bind(builder);
      const writes = new Writes(builder);
      const done = new Set<string>();
      for (const [id, name] of ofNode) {
        if (done.has(name)) continue;
        done.add(name);
        const node = graph.nodes[id]!;
        const source = graph.nodes[node.inputs[0]!]!;
        const weight = source.op === "cast" ? graph.nodes[source.inputs[0]!]! : source;
        builder.origin = { ...weight.origin, composite: "makeBlocks" };
        log.fired("made from the weight", name);
        const state = readState(builder, name, weight.type);
        const wide = weight.type.dtype === "f32" ? state : add("cast", [state], { dtype: "f32" });
        const largest = largestOf(builder, wide);
        const before = readState(builder, encodeScaleName(name), { dtype: "f32", axes: [] });
        const isNew = add("equal", [before, builder.constant(0)], {});
        const scale = add("select", [isNew, encodeScaleOf(builder, largest), before], {});
        builder.declareState({ name: blocksName(name), type: node.type });
        writes.put(
          blocksName(name),
          add("quantizeNvfp4", [wide, scale], attributesOf(node, "quantizeNvfp4")),
        );
        writeScales(builder, writes, name, scale);
        writes.put(optimizerStates.largest(name), largest);
        builder.declareState({ name: optimizerStates.largest(name), type: { dtype: "f32", axes: [] } });
      }
      writes.finish();
      return builder.finish(graph.name, []);
    },
  };
}
