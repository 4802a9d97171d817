/** What one op is: its type rule, its meaning, its cost and how fusion may treat it, in one value. */
import type { GraphBuilder } from "../graph/builder.ts";
import type { TensorArray } from "../graph/tensor-array.ts";
import type { NodeId, TensorType } from "../graph/types.ts";
import type { OpAttributes, OpName } from "./names.ts";

export type OpCategory =
  | "structure"
  | "state"
  | "pointwise"
  | "reduction"
  | "contraction"
  | "movement"
  | "composite";

export interface OpDocumentation {
  readonly summary: string;
  /** One line per input: name, axes, meaning. */
  readonly inputs: readonly string[];
  readonly result: string;
  /** Where the definition comes from, if from a paper or a specification. */
  readonly source?: string;
}

/** What a reference implementation may ask of the run. */
export interface ReferenceEnvironment {
  /** Values of the run-time symbols. */
  readonly symbols: ReadonlyMap<string, number>;
}

/**
 * The meaning of an op: `reference` computes a primitive on plain arrays, `define` writes a composite in other ops.
 * A structure or state op has no meaning outside a run: the interpreter supplies it.
 */
export type OpMeaning<K extends OpName> =
  | {
      readonly tag: "reference";
      readonly reference: (
        inputs: readonly TensorArray[],
        attributes: OpAttributes[K],
        environment: ReferenceEnvironment,
      ) => TensorArray;
    }
  | {
      readonly tag: "definition";
      readonly define: (
        builder: GraphBuilder,
        inputs: readonly NodeId[],
        attributes: OpAttributes[K],
        result: TensorType,
      ) => NodeId;
    }
  | { readonly tag: "environment" };

/** One node in the backward direction: what a rule needs to write the cotangents of its inputs. */
export interface VjpSite<K extends OpName> {
  readonly builder: GraphBuilder;
  readonly inputs: readonly NodeId[];
  readonly attributes: OpAttributes[K];
  /** The node's value. */
  readonly result: NodeId;
  /** The derivative of the loss by the result: f32, with the result's axes in order. */
  readonly cotangent: NodeId;
  /** Of each input whether its cotangent is wanted: it is a float and some parameter stands behind it. */
  readonly needed: readonly boolean[];
}

/**
 * The vector-Jacobian product of an op: how the derivative of a loss goes back through it.
 *
 * - `rule`: f32 cotangents of the inputs that are needed, built from ops. Their axes may come in any order. An axis that
 *   the input lacks is summed, for the input was broadcast along it; an axis that only the input has means that the
 *   cotangent is the same all along it. A rule that cannot go on for these inputs gives the sentence that says why.
 * - `definition`: a composite is differentiated through its definition.
 * - `stop`: the derivative is zero or has no meaning; nothing goes back, by intention.
 * - `missing`: a derivative exists and is not written; a loss that needs it is an error that gives the reason.
 */
export type Vjp<K extends OpName> =
  | {
      readonly tag: "rule";
      readonly rule: (site: VjpSite<K>) => readonly (NodeId | undefined)[] | string;
    }
  | { readonly tag: "definition" }
  | { readonly tag: "stop"; readonly reason: string }
  | { readonly tag: "missing"; readonly reason: string };

export interface OpDefinition<K extends OpName = OpName> {
  readonly name: K;
  readonly category: OpCategory;
  readonly documentation: OpDocumentation;
  /** Numbers of inputs allowed. */
  readonly arity: { readonly min: number; readonly max: number };
  /** The result's type, or the sentence that says what does not fit. */
  readonly infer: (inputs: readonly TensorType[], attributes: OpAttributes[K]) => TensorType | string;
  readonly meaning: OpMeaning<K>;
  readonly vjp: Vjp<K>;
  /** Floating-point operations per element of the result (`perResult`) and per element of the first input. */
  readonly cost: { readonly perResult: number; readonly perInput: number };
  /**
   * `map`: one value from values at the same place; `reduce`: a row to a value; `view`: no arithmetic, an index change;
   * `template`: has a kernel of its own with prologue and epilogue slots; `boundary`: never part of a kernel body.
   */
  readonly fusion: "map" | "reduce" | "view" | "template" | "boundary";
}
