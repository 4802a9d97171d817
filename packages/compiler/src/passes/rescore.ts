/**
 * rescore: candidates that a quantised head has picked get the scores that the plain head would give them, and its order.
 *
 * The head reads all of its matrix in blocks; of the plain one only the rows of the candidates are read, and multiplied with
 * what the head multiplies, before that was quantised, rounded as the policy rounds it, with one f32 sum for each. So the
 * likeliest token is that of the plain head wherever it is among the candidates. The logits stay those of the quantised head.
 * Goes behind `candidates` and `precision`, in front of `drawToken`.
 */
import {
  type Dtype,
  findAxis,
  type Graph,
  type GraphBuilder,
  type GraphNode,
  type NodeId,
  unsupportedProblem,
  userProblem,
  valueAndIndex,
  WeftError,
} from "@weft/dsl";
import { candidatesOutput } from "./candidates.ts";
import { type Pass, placeOf } from "./pass.ts";
import { attributesOf, copyNode, rewriteGraph } from "./rewrite.ts";

export interface RescoreOptions {
  /** The output whose largest elements the candidates are: a linear, or its product with a scale, of all or of each. */
  readonly output: string;
  /** The parameter with a plain row for each element of `output`: [elements, what is contracted]. */
  readonly rows: string;
  /** How it is stored. */
  readonly storage: Dtype;
}

/** @throws WeftError where the run finds no candidates, or an output that something else is added to. */
export function rescore({ output, rows, storage }: RescoreOptions): Pass {
  return {
    name: "rescore",
    summary: `candidates are scored again by the rows of ${rows}`,
    run: (graph, log) => {
      const source = graph.outputs.find(({ name }) => name === candidatesOutput)?.node;
      if (source === undefined) {
        throw new WeftError([
          userProblem("rescore", "the graph must have candidates", {
            given: graph.outputs.map(({ name }) => name).join(", "),
            remedy: "run the pass candidates before",
          }),
        ]);
      }
      const head = headOf(graph, output);
      const { from } = attributesOf(head, "linear");
      const x = plainInput(graph, head);
      const isRounded = graph.nodes[head.inputs[0]!]!.type.dtype === "bf16";
      const matrix = graph.nodes[head.inputs[1]!]!.type;
      const vocab = attributesOf(head, "linear").to[0]!;
      let plain: NodeId | undefined;
      return rewriteGraph(graph, (builder, node, inputs) => {
        if (node.id === x) plain = copyNode(builder, node, inputs);
        if (node.id === x) return plain;
        if (node.id !== source) return undefined;
        log.fired("candidates scored again", placeOf(node));
        const found = copyNode(builder, node, inputs);
        const widened = isRounded ? roundToBf16(builder, plain!) : plain!;
        const axes = [findAxis(matrix, vocab)!, ...from.map((name) => findAxis(matrix, name)!)];
        const table = builder.add("parameter", [], { name: rows, dtype: storage, axes });
        return sorted(builder, found, (ids) => {
          const read = builder.add("gather", [table, ids], { axis: vocab });
          const values = storage === "f32" ? read : builder.add("cast", [read], { dtype: "f32" });
          const products = builder.add("mul", [values, widened], {});
          return from.reduce((sum, axis) => builder.add("reduceSum", [sum], { axis }), products);
        });
      });
    },
  };
}

const roundToBf16 = (builder: GraphBuilder, id: NodeId): NodeId =>
  builder.add("cast", [builder.add("cast", [id], { dtype: "bf16" })], { dtype: "f32" });

/** The linear that gives the output, behind the scale of its tensor or of its rows. */
function headOf(graph: Graph, output: string): GraphNode {
  const found = graph.outputs.find(({ name }) => name === output);
  let node = found === undefined ? undefined : graph.nodes[found.node]!;
  while (node?.op === "mul") {
    const [value, scale] = node.inputs.map((id) => graph.nodes[id]!) as [GraphNode, GraphNode];
    const ofRows = scale.op === "parameter" && scale.type.axes.length === 1;
    node = ofRows || scale.type.axes.length === 0 ? value : undefined;
  }
  if (node?.op === "linear" && node.inputs.length === 2 && attributesOf(node, "linear").to.length === 1)
    return node;
  throw new WeftError([
    unsupportedProblem("rescore", `"${output}" must be one linear without a bias, times a scale at most`, {
      given: node === undefined ? "something else" : `${node.op} at ${placeOf(node)}`,
      remedy: "leave the head plain, or do not score candidates again",
    }),
  ]);
}

/** What the head multiplies, before it was rounded or quantised. */
function plainInput(graph: Graph, head: GraphNode): NodeId {
  let node = graph.nodes[head.inputs[0]!]!;
  while (node.op === "cast" || node.op === "quantizeNvfp4") node = graph.nodes[node.inputs[0]!]!;
  return node.id;
}

/**
 * Candidates [..., candidate, valueAndIndex] with new scores, the largest first, of equal ones that of the lower index. A
 * score that is NaN makes the first one NaN.
 */
function sorted(builder: GraphBuilder, candidates: NodeId, scoresOf: (ids: NodeId) => NodeId): NodeId {
  const add = builder.add.bind(builder);
  const axes = builder.type(candidates).axes;
  const candidate = axes[axes.length - 2]!;
  const axis = candidate.name;
  const other = `other_${axis}`;
  const [zero, one] = [builder.constant(0), builder.constant(1)];
  const part = add("slice", [candidates], { axis: valueAndIndex.name, start: 1, size: 1 });
  const index = add("mergeAxes", [part], { axes: [axis, valueAndIndex.name], into: axis });
  const scores = scoresOf(add("cast", [index], { dtype: "i32" }));
  const renamed = (node: NodeId) => add("rename", [node], { from: axis, to: other });
  // How many stand before each: those with a larger score, and those of the same with a lower index.
  const isLarger = add("select", [add("less", [scores, renamed(scores)], {}), one, zero], {});
  const isLower = add("select", [add("lessEqual", [index, renamed(index)], {}), zero, one], {});
  const isSame = add("equal", [scores, renamed(scores)], {});
  const before = add("reduceSum", [add("select", [isSame, isLower, isLarger], {})], { axis: other });
  const place = add("broadcast", [add("iota", [], { axis: candidate })], { axes: builder.type(scores).axes });
  const isHere = add("equal", [place, renamed(add("cast", [before], { dtype: "i32" }))], {});
  const there = (values: NodeId) => {
    const picked = add("select", [isHere, renamed(values), zero], {});
    const sum = add("reduceSum", [picked], { axis: other });
    return add("splitAxis", [sum], { axis, into: [candidate, { name: valueAndIndex.name, size: 1 }] });
  };
  return add("concat", [there(scores), there(index)], { axis: valueAndIndex.name });
}
