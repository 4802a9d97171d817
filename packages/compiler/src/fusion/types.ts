/** What fusion decides: groups of nodes, each of which becomes one kernel. */
import type { Axis, Graph, NodeId } from "@weft/dsl";
import type { Refusal } from "../passes/pass.ts";
import type { View } from "./view.ts";

/**
 * The iteration space of a row program: parallel loops over rows, and the row. Several row axes count as one
 * flattened axis; a value in the space has all of them or none.
 */
export interface Space {
  readonly loops: readonly Axis[];
  readonly row: readonly Axis[];
}

/** Pointwise chains and row reductions. Writes of states among the nodes are made by the kernel itself, in place. */
export interface FusedRows {
  readonly kind: "rows";
  /** What it was grown from. */
  readonly seed: NodeId;
  readonly space: Space;
  readonly nodes: ReadonlySet<NodeId>;
}

/** Matmuls whose results meet in one epilogue, over the same columns. */
export interface MatmulColumns {
  readonly dots: readonly NodeId[];
  /** The dots and the epilogue. */
  readonly nodes: ReadonlySet<NodeId>;
  readonly space: Space;
}

/** Matmuls that share an input: prologue, products, epilogues. */
export interface FusedMatmul {
  readonly kind: "matmul";
  /** The shared input as the dots read it. */
  readonly operand: NodeId;
  readonly prologue: { readonly space: Space; readonly nodes: ReadonlySet<NodeId> };
  readonly columns: readonly MatmulColumns[];
}

export interface FusedAttention {
  readonly kind: "attention";
  readonly node: NodeId;
}

/** Attention of a training step and the number from which its gradient computes the weights again; one of them at least. */
export interface FusedAttentionForward {
  readonly kind: "attentionForward";
  readonly attend: NodeId | undefined;
  readonly logSumExp: NodeId | undefined;
}

export interface FusedAttentionBackward {
  readonly kind: "attentionBackward";
  readonly node: NodeId;
}

/** A linear layer, the cross entropy of its results, and what goes back through both. */
export interface FusedLossHead {
  readonly kind: "lossHead";
  /** Positions of a chunk. */
  readonly chunk: number;
  readonly scores: NodeId;
  readonly loss: NodeId | undefined;
  readonly back:
    | {
        readonly gradient: NodeId;
        /** A cast of the gradient. */
        readonly rounded: NodeId | undefined;
        /** The products that give the gradients of the layer's input and weight. */
        readonly input: NodeId | undefined;
        readonly weight: NodeId | undefined;
      }
    | undefined;
}

/** The largest elements of rows. */
export interface FusedTopK {
  readonly kind: "topK";
  readonly node: NodeId;
}

/** Rows added up by index, and what the sums are added to, if that is at hand in memory. */
export interface FusedScatterAdd {
  readonly kind: "scatterAdd";
  readonly node: NodeId;
  /** `add` of the node and a stored value of its type. */
  readonly sum: NodeId | undefined;
}

/** A product that no template fits. */
export interface FusedContract {
  readonly kind: "contract";
  readonly node: NodeId;
}

/**
 * A change of layout that strides cannot say: a join of tensors, or a merge of axes that lie apart. Of a `stateRead`: a
 * copy of what the state holds, made before it is overwritten.
 */
export interface FusedMove {
  readonly kind: "move";
  readonly node: NodeId;
}

/** New rows of a state. Costs nothing when the producer can write there itself. */
export interface FusedState {
  readonly kind: "state";
  readonly node: NodeId;
}

export type FusedGroup =
  | FusedRows
  | FusedMatmul
  | FusedAttention
  | FusedAttentionForward
  | FusedAttentionBackward
  | FusedLossHead
  | FusedTopK
  | FusedScatterAdd
  | FusedContract
  | FusedMove
  | FusedState;

/** A node that a growing kernel did not take in, or gave back. */
export interface GrowthRefusal {
  readonly rule: string;
  readonly node: NodeId;
  /** What the kernel was grown from; that is in it whatever else is. */
  readonly seed: NodeId;
  readonly reason: string;
}

export interface FusedGraph {
  /** Of the same meaning as the graph that was given; its nodes are in an order that states allow. */
  readonly graph: Graph;
  /** In an order that respects every dependency. */
  readonly groups: readonly FusedGroup[];
  /** FusedGroup index by node; -1 for leaves, views and values that are computed where they are used. */
  readonly groupOf: Int32Array;
  /** Values that need a buffer. */
  readonly stored: ReadonlySet<NodeId>;
  /** Where a stored value, a leaf or a view of one lies. */
  readonly viewOf: (id: NodeId) => View | undefined;
  readonly refusals: readonly Refusal[];
  /** The same node by node, views included, some more than once: what `boundariesOf` reads. */
  readonly growthRefusals: readonly GrowthRefusal[];
  /** Whether anything was grown at all, or every primitive left a kernel of its own. */
  readonly isFused: boolean;
  /** How often each rule fired. */
  readonly fired: ReadonlyMap<string, readonly string[]>;
}

/** What a kernel was grown from: a product, or the only thing that it computes. */
export function seedOf(group: FusedGroup): NodeId {
  switch (group.kind) {
    case "rows":
      return group.seed;
    case "matmul":
      return Math.min(...group.columns.flatMap((one) => one.dots));
    case "lossHead":
      return group.scores;
    default:
      return nodesOf(group)[0]!;
  }
}

/** The first of a group's nodes, by which groups are told in order. A group may have more than a call has arguments. */
export function firstNodeOf(group: FusedGroup): NodeId {
  return nodesOf(group).reduce((least, id) => (id < least ? id : least), Number.POSITIVE_INFINITY);
}

export function nodesOf(group: FusedGroup): NodeId[] {
  switch (group.kind) {
    case "rows":
      return [...group.nodes];
    case "matmul":
      return [...group.prologue.nodes, ...group.columns.flatMap((one) => [...one.nodes])];
    case "attentionForward":
      return [group.attend, group.logSumExp].filter((id) => id !== undefined);
    case "lossHead": {
      const { scores, loss, back } = group;
      const ids = [scores, loss, back?.gradient, back?.rounded, back?.input, back?.weight];
      return ids.filter((id) => id !== undefined);
    }
    case "scatterAdd":
      return group.sum === undefined ? [group.node] : [group.node, group.sum];
    default:
      return [group.node];
  }
}
