/**
 * candidates: beside an output, its largest elements. A sampler that looks at few of them spares the copy of a whole
 * vocabulary from the device at every token.
 */
import { findAxis, type GraphNode, mostTopK, opTable, userProblem, WeftError } from "@weft/dsl";
import type { Pass } from "./pass.ts";
import { placeOf } from "./pass.ts";

export interface CandidatesOptions {
  /** The output that they are taken from, and the axis along which. */
  readonly output: string;
  readonly axis: string;
  /** How many: 1 to 32, or all where the axis has fewer. */
  readonly count: number;
}

/** The name of the output that the pass adds. */
export const candidatesOutput = "candidates";

/** @throws WeftError when the run finds no such output or axis. */
export function candidates({ output, axis, count }: CandidatesOptions): Pass {
  return {
    name: "candidates",
    summary: `the ${count} largest of ${output} along "${axis}" are an output too`,
    run: (graph, log) => {
      const found = graph.outputs.find((one) => one.name === output);
      const along = found && findAxis(graph.nodes[found.node]!.type, axis);
      if (found === undefined || along === undefined || typeof along.size !== "number") {
        throw new WeftError([
          userProblem("candidates", `the graph must have an output "${output}" with the axis "${axis}"`, {
            given: graph.outputs.map((one) => one.name).join(", "),
          }),
        ]);
      }
      const attributes = { axis, into: "candidate", count: Math.min(count, along.size, mostTopK) };
      const source = graph.nodes[found.node]!;
      const type = opTable.topK.infer([source.type], attributes);
      if (typeof type === "string")
        throw new WeftError([userProblem("candidates", type, { path: source.origin.path })]);
      log.fired("candidates", placeOf(source));
      const id = graph.nodes.length;
      const node: GraphNode = {
        id,
        op: "topK",
        inputs: [source.id],
        attributes,
        type,
        origin: source.origin,
      };
      return {
        ...graph,
        nodes: [...graph.nodes, node],
        outputs: [...graph.outputs, { name: candidatesOutput, node: id }],
      };
    },
  };
}
