/** Graphs of two sides, program by program. */
import {
  type Compiled,
  differenceOfGraphs,
  differenceOfGraphTexts,
  type GraphDifference,
} from "@weft/compiler";
import { printGraph } from "@weft/dsl";
import { graphAfter } from "../target/graph-after.ts";
import type { GraphDump } from "./side.ts";

export interface GraphsDifference {
  readonly name: string;
  /** Graphs are paired by their names. */
  readonly state: "same" | "changed" | "added" | "gone";
  /** Where both sides have it. */
  readonly difference?: GraphDifference;
}

/** The graph of each program: as it was given, after a pass, or as kernels were formed on it. */
export function graphsAfter(compiled: Compiled, pass: string): GraphDump[] {
  return compiled.compiled.map((program) => {
    const given = program.records[0]?.before ?? program.fused.graph;
    const graph = graphAfter(program, pass, "--passes", { given, fuse: program.fused.graph });
    return { name: graph.name, graph };
  });
}

export function compareGraphs(before: readonly GraphDump[], after: readonly GraphDump[]): GraphsDifference[] {
  // One graph on each side is what is compared, whatever it is called.
  if (before.length === 1 && after.length === 1) return [compare(before[0]!, after[0]!)];
  const named = (graphs: readonly GraphDump[], name: string) => graphs.find((one) => one.name === name);
  return [
    ...before.map((one): GraphsDifference => {
      const other = named(after, one.name);
      return other === undefined ? { name: one.name, state: "gone" } : compare(one, other);
    }),
    ...after.flatMap(({ name }): GraphsDifference[] =>
      named(before, name) === undefined ? [{ name, state: "added" }] : [],
    ),
  ];
}

function compare(before: GraphDump, after: GraphDump): GraphsDifference {
  const difference =
    before.graph !== undefined && after.graph !== undefined
      ? differenceOfGraphs(before.graph, after.graph)
      : differenceOfGraphTexts(folded(before), folded(after));
  return { name: before.name, state: difference.same ? "same" : "changed", difference };
}

const folded = ({ graph, text }: GraphDump): string => text ?? printGraph(graph!, { fold: true });
