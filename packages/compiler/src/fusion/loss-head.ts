/**
 * The head of a language model with its loss, as one kernel that goes through the positions in chunks: `scores = x W^T`,
 * their cross entropy, the slopes of the scores, and the two products that go back, `slopes W` and `slopes^T x`. Whole
 * scores are [positions, vocabulary] and would be, with their slopes, the largest values of a training step.
 */
import { type GraphNode, type NodeId, unsupportedProblem, WeftError } from "@weft/dsl";
import type { KeepComposite } from "../passes/decompose.ts";
import { attributesOf } from "../passes/rewrite.ts";
import type { Growth } from "./grow.ts";
import { matmulShape } from "./matmul.ts";
import { type FusedLossHead, nodesOf } from "./types.ts";
import { isContiguous } from "./view.ts";

/**
 * Cross entropy of what a product gives, in either direction. A head in NVFP4 has whole scores: where its tensor has a scale,
 * the scores are no product, and the kernel reads no codes.
 */
export const isLossOfProduct: KeepComposite = (op, inputs, builder) => {
  if (op !== "crossEntropy" && op !== "crossEntropyGradient") return false;
  const scores = builder.node(inputs[0]!);
  return scores.op === "dot" && builder.type(scores.inputs[1]!).dtype !== "nvfp4";
};

/**
 * The head that a `crossEntropy` or its gradient belongs to.
 * @param chunk positions of a chunk.
 * @throws WeftError where the products around it are not those of a linear layer and its gradient.
 */
export function formLossHead(growth: Growth, node: GraphNode, chunk: number): FusedLossHead {
  const { graph } = growth.context;
  const refuse = (given: string): never => {
    throw new WeftError([
      unsupportedProblem(
        "lossChunk",
        "the loss must be the cross entropy of a linear layer, and go back through it only",
        {
          path: node.origin.path,
          given,
          remedy: "compile without lossChunk",
        },
      ),
    ]);
  };
  const scores = graph.nodes[node.inputs[0]!]!;
  const head = headOf(growth, scores, chunk);
  if (typeof head === "string") return refuse(head);
  const nodes = new Set(nodesOf(head));
  const unordered = growth.partition.refuseTogether(nodes);
  if (unordered !== undefined) return refuse(unordered);
  return head;
}

function headOf({ context }: Growth, scores: GraphNode, chunk: number): FusedLossHead | string {
  const { graph, classified, consumers, outputs } = context;
  const shape = matmulShape(context, scores);
  if (typeof shape === "string") return shape;
  const view = classified.views[scores.inputs[0]!]!;
  if (shape.rows.length !== 1 || shape.columns.length !== 1)
    return "positions and classes must be one axis each";
  if (!isContiguous(view, shape.contracted))
    return "the contracted axes of the input do not lie in one piece";
  if (outputs.has(scores.id)) return "the scores are an output";
  const readers = consumers[scores.id]!.map((id) => graph.nodes[id]!);
  const losses = readers.filter(({ op }) => op === "crossEntropy");
  const gradients = readers.filter(({ op }) => op === "crossEntropyGradient");
  if (losses.length + gradients.length < readers.length) return "the scores are read by something else";
  if (losses.length > 1 || gradients.length > 1) return "several losses read the same scores";
  const [loss, gradient] = [losses[0], gradients[0]];
  const [targets] = readers.map(({ inputs }) => inputs[1]!);
  if (readers.some(({ inputs }) => inputs[1] !== targets))
    return "the gradient has other targets than the loss";
  const axis = shape.columns[0]!.name;
  if (readers.some((one) => attributesOf(one, "crossEntropy").axis !== axis))
    return "the classes are not the columns";
  const head = { kind: "lossHead", chunk, scores: scores.id, loss: loss?.id } as const;
  if (gradient === undefined) return { ...head, back: undefined };
  const back = backOf(context, scores, gradient, axis);
  return typeof back === "string" ? back : { ...head, back };
}

function backOf(
  { graph, consumers, outputs }: Growth["context"],
  scores: GraphNode,
  gradient: GraphNode,
  axis: string,
): NonNullable<FusedLossHead["back"]> | string {
  const [only, ...others] = consumers[gradient.id]!;
  const cast = others.length === 0 && graph.nodes[only!]!.op === "cast" ? graph.nodes[only!]! : undefined;
  if (cast !== undefined && cast.type.dtype !== "bf16")
    return "the slopes are cast to something else than bf16";
  const slopes = cast ?? gradient;
  if (outputs.has(gradient.id) || outputs.has(slopes.id)) return "the slopes are an output";
  let [input, weight]: (NodeId | undefined)[] = [];
  for (const id of consumers[slopes.id]!) {
    const product = graph.nodes[id]!;
    const [left, right] = product.inputs;
    const contract = product.op === "dot" ? attributesOf(product, "dot").contract : [];
    if (left !== slopes.id || contract.length !== 1) return "the slopes are read by something else";
    if (contract[0] === axis && right === scores.inputs[1] && input === undefined) input = id;
    else if (contract[0] !== axis && right === scores.inputs[0] && weight === undefined) weight = id;
    else return "the slopes are multiplied with something else than the layer's input and weight";
  }
  return { gradient: gradient.id, rounded: cast?.id, input, weight };
}
