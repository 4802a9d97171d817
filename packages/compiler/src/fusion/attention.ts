/** Attention among the kernels: which of its nodes become one kernel, and what a template asks of them. */
import type { GraphBuilder, GraphNode, NodeId, OpName } from "@weft/dsl";
import type { Growth } from "./grow.ts";
import { indexExpressionOf } from "./index-arithmetic.ts";
import type { FusedAttention, FusedAttentionBackward, FusedAttentionForward } from "./types.ts";

/** Which input of an attention op is the index of its queries. */
export const attentionIndex = { attend: 3, attendLogSumExp: 2, attendGradient: 3 } as const;

export type AttentionOp = keyof typeof attentionIndex;

export const isAttention = (op: OpName): op is AttentionOp => op in attentionIndex;

/**
 * The attention kernels take one sequence at a time, whose queries stand at consecutive indices. Where every query sees
 * the keys from the first one on, or from its own document's start on, is an input.
 */
export function hasAttentionTemplate(
  op: AttentionOp,
  inputs: readonly NodeId[],
  builder: GraphBuilder,
): boolean {
  const index = attentionIndex[op];
  return (
    inputs.slice(0, index).every((id) => builder.type(id).axes.length === 3) &&
    indexExpressionOf((id) => builder.node(id), inputs[index]!) !== undefined
  );
}

/**
 * `attend` as inference has it is a kernel of its own. With documents' starts, or with the number that its gradient
 * needs, it is the forward kernel of a training step, which gives both at once.
 */
export function formAttention(
  growth: Growth,
  node: GraphNode,
): FusedAttention | FusedAttentionForward | FusedAttentionBackward {
  if (node.op === "attendGradient") return { kind: "attentionBackward", node: node.id };
  if (node.op === "attendLogSumExp")
    return { kind: "attentionForward", attend: undefined, logSumExp: node.id };
  const logSumExp = sumBeside(growth, node);
  if (logSumExp === undefined && node.inputs.length === 4) return { kind: "attention", node: node.id };
  return { kind: "attentionForward", attend: node.id, logSumExp };
}

/** The `attendLogSumExp` of the same scores. */
function sumBeside({ context, partition }: Growth, attend: GraphNode): NodeId | undefined {
  const [q, k, , ...rest] = attend.inputs;
  const wanted = [q, k, ...rest].join();
  return context.consumers[q!]!.find((id) => {
    const other = context.graph.nodes[id]!;
    return (
      other.op === "attendLogSumExp" &&
      partition.isFree(id) &&
      other.inputs.join() === wanted &&
      JSON.stringify(other.attributes) === JSON.stringify(attend.attributes) &&
      partition.refuseTogether(new Set([attend.id, id])) === undefined
    );
  });
}
