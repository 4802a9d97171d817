/**
 * The graph IR: a typed list of nodes in single-assignment form. Nodes stand in execution order and a node's id is
 * its index, so inputs always point backward. Every value is a tensor with named axes.
 */
import type { Axis } from "../axis.ts";
import type { OpName } from "../ops/table.ts";

export type Dtype = "f32" | "bf16" | "f16" | "f8e4m3" | "nvfp4" | "i32" | "i8" | "bool";

/** Axes are ordered from outermost to innermost; names within one tensor are distinct. */
export interface TensorType {
  readonly dtype: Dtype;
  readonly axes: readonly Axis[];
}

/** Plain JSON; axes appear as `{name, size}`. */
export type AttributeValue =
  | string
  | number
  | boolean
  | null
  | readonly AttributeValue[]
  | { readonly [key: string]: AttributeValue };
export type Attributes = { readonly [key: string]: AttributeValue };

/** Where a node comes from. It survives every pass into kernels, profiles and errors. */
export interface Origin {
  /** The block's path: `model.layers.3.self_attn.q_proj`. */
  readonly path: string;
  /** The source line that built the block: `model.ts:12:5`, where it could be read. */
  readonly source?: string;
  /** The composite op that this node is a part of, once that has been taken apart: `rmsNorm`. */
  readonly composite?: string;
}

export type NodeId = number;

export interface GraphNode {
  readonly id: NodeId;
  readonly op: OpName;
  readonly inputs: readonly NodeId[];
  readonly attributes: Attributes;
  readonly type: TensorType;
  readonly origin: Origin;
}

/** A buffer that outlives one run: a KV cache, an optimizer moment. */
export interface StateSpec {
  readonly name: string;
  readonly type: TensorType;
}

/** A run-time integer. With `sum`, its value is the sum of other symbols; otherwise the caller gives it. */
export interface SymbolSpec {
  readonly name: string;
  readonly max: number;
  readonly sum?: readonly string[];
}

export interface GraphOutput {
  readonly name: string;
  readonly node: NodeId;
}

export interface Graph {
  readonly name: string;
  readonly symbols: readonly SymbolSpec[];
  readonly states: readonly StateSpec[];
  readonly nodes: readonly GraphNode[];
  readonly outputs: readonly GraphOutput[];
}
