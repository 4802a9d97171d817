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

export interface OpDefinition<K extends OpName = OpName> {
  readonly name: K;
  readonly category: OpCategory;
  readonly documentation: OpDocumentation;
  /** Numbers of inputs allowed. */
  readonly arity: { readonly min: number; readonly max: number };
  /** The result's type, or the sentence that says what does not fit. */
  readonly infer: (inputs: readonly TensorType[], attributes: OpAttributes[K]) => TensorType | string;
  readonly meaning: OpMeaning<K>;
  /** Floating-point operations per element of the result (`perResult`) and per element of the first input. */
  readonly cost: { readonly perResult: number; readonly perInput: number };
  /**
   * `map`: one value from values at the same place; `reduce`: a row to a value; `view`: no arithmetic, an index change;
   * `template`: has a kernel of its own with prologue and epilogue slots; `boundary`: never part of a kernel body.
   */
  readonly fusion: "map" | "reduce" | "view" | "template" | "boundary";
}
