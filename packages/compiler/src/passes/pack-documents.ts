/**
 * packDocuments: several documents stand one behind the other in one long sequence, and none sees another.
 *
 * - Positions, which RoPE turns by, become an input: each token's place within its own document.
 * - Attention gets an input with the first index of each token's document; a query sees the keys from there up to
 *   itself. Its own index among the keys is still its place in the long sequence.
 *
 * It runs before `grad`, which differentiates what is then there. A loss masks each document's last token itself: the
 * token behind it belongs to another one.
 */
import {
  type Axis,
  type GraphNode,
  type Problem,
  unsupportedProblem,
  userProblem,
  WeftError,
} from "@weft/dsl";
import type { Pass } from "./pass.ts";
import { placeOf } from "./pass.ts";
import { attributesOf, liveNodes, rewriteGraph } from "./rewrite.ts";

export interface PackDocumentsOptions {
  /** The axis along which documents stand. Default "seq". */
  readonly sequence?: string;
}

/**
 * The inputs that the pass adds, i32 over the sequence: `positions` counts from 0 in each document, `starts` is the
 * index in the whole sequence at which the token's document begins, so it is at most the token's own index.
 */
export const packInputs = { positions: "positions", starts: "starts" } as const;

/** @throws WeftError when the run finds nothing along the sequence, or attention that it cannot rewrite. */
export function packDocuments({ sequence = "seq" }: PackDocumentsOptions = {}): Pass {
  return {
    name: "packDocuments",
    summary: `documents stand one behind the other along "${sequence}"; positions and first keys are inputs`,
    run: (graph, log) => {
      const needed = liveNodes(graph);
      const live = graph.nodes.filter((node) => needed[node.id]);
      const axis = sequenceOf(live, sequence);
      const problems = live.flatMap((node) => refusals(node, sequence, (id) => graph.nodes[id]!));
      const [first, ...rest] = problems;
      if (first !== undefined) throw new WeftError([first, ...rest]);
      return rewriteGraph(graph, (builder, node, inputs) => {
        const given = (name: string) => builder.add("input", [], { name, dtype: "i32", axes: [axis] });
        if (node.op === "position" && attributesOf(node, "position").axis.name === sequence) {
          log.fired("position counts from its document's start", placeOf(node));
          return given(packInputs.positions);
        }
        if (node.op !== "attend" || attributesOf(node, "attend").sequence !== sequence) return undefined;
        log.fired("attend begins at its document's start", placeOf(node));
        const [q, k, v] = inputs as readonly [number, number, number];
        const index = builder.add("iota", [], { axis });
        return builder.add(
          "attend",
          [q, k, v, index, given(packInputs.starts)],
          attributesOf(node, "attend"),
        );
      });
    },
  };
}

function sequenceOf(nodes: readonly GraphNode[], sequence: string): Axis {
  for (const node of nodes) {
    const found = node.op === "position" ? attributesOf(node, "position").axis : undefined;
    if (found?.name === sequence) return found;
  }
  throw new WeftError([
    userProblem("packDocuments", `something must ask for its position along "${sequence}"`, {
      remedy: "without positions and attention, documents do not touch: leave the pass out",
    }),
  ]);
}

/** Attention is rewritten where its index is the plain position: after kvCache or grad it is too late. */
function refusals(node: GraphNode, sequence: string, nodeAt: (id: number) => GraphNode): readonly Problem[] {
  const refuse = (requirement: string, remedy: string): readonly Problem[] => {
    const { path, source } = node.origin;
    const place = { path, ...(source === undefined ? {} : { location: source }) };
    return [unsupportedProblem("packDocuments", requirement, { ...place, remedy })];
  };
  if (node.op === "attendGradient" && attributesOf(node, "attendGradient").sequence === sequence)
    return refuse("must run before the gradient of attention is written", "run packDocuments before grad");
  if (node.op !== "attend") return [];
  const attributes = attributesOf(node, "attend");
  if (attributes.sequence !== sequence) return [];
  if (!attributes.causal)
    return refuse("attention must be causal, for only its first key can be given", "use causal attention");
  const index = nodeAt(node.inputs[3]!);
  const isPlain =
    attributes.keys === undefined &&
    node.inputs.length === 4 &&
    index.op === "position" &&
    attributesOf(index, "position").axis.name === sequence;
  if (isPlain) return [];
  return refuse(
    "attention must be over the sequence itself, with its positions as indices",
    "run packDocuments first, and without kvCache",
  );
}
