/**
 * A block is immutable data: what it consumes, what it produces, and how it is put together. Nothing is computed when
 * a block is built; the compiler's `expandBlock` turns the same data into a graph, and printers turn it back into text.
 */
import type { Axis } from "../axis.ts";
import type { Attributes } from "../graph/types.ts";
import type { OpName } from "../ops/names.ts";
import type { ScalarExpression } from "../ops/scalar.ts";

export type WireKind = "float" | "int" | "bool";

/** The trailing axes of a tensor; leading axes (`batch`, `seq`) pass through a block untouched. */
export interface TensorWire {
  readonly tag: "tensor";
  readonly kind: WireKind;
  readonly axes: readonly Axis[];
  /**
   * Which leading axes stand before `axes`. Wires of one block share their lead unless they name different ones:
   * in `split(f, g)` the two sides need not agree. Absent means the block's only lead.
   */
  readonly lead?: string;
}

/** Any wire at all, whatever its shape: what `id` takes and gives. `variable` tells several of them apart. */
export interface AnyWire {
  readonly tag: "any";
  readonly variable: string;
}

export interface TupleWire {
  readonly tag: "tuple";
  readonly wires: readonly WireSpec[];
}

export type WireSpec = TensorWire | TupleWire | AnyWire;

/** A parameter of a leaf. `name` is relative to the leaf's path unless `shared` makes it absolute (a tied table). */
export interface ParameterSpec {
  readonly name: string;
  readonly shared?: boolean;
  readonly axes: readonly Axis[];
  /** How training from nothing starts it. */
  readonly initial: "normal" | "ones" | "zeros";
}

/** Values that a leaf asks of its surroundings, so that nobody threads them through a chain by hand. */
export type SideInput = { readonly kind: "position"; readonly axis: string };

/** One op application: the only block that computes something. */
export interface LeafExpression {
  readonly tag: "leaf";
  readonly op: OpName;
  /** What `->>` notation prints when the leaf has no name of its own: `rope`, `silu`, `mul`. */
  readonly label: string;
  readonly attributes: Attributes;
  readonly parameters: readonly ParameterSpec[];
  readonly sideInputs: readonly SideInput[];
  /** Of a `pointwise` block: the traced function. */
  readonly expression?: ScalarExpression;
}

/** How a block was put together. Children are plain blocks: the wires inside are already checked. */
export type BlockExpression =
  | { readonly tag: "id" }
  | LeafExpression
  | { readonly tag: "chain"; readonly blocks: readonly AnyBlock[] }
  | { readonly tag: "parallel"; readonly blocks: readonly AnyBlock[] }
  | { readonly tag: "split"; readonly blocks: readonly AnyBlock[] }
  | { readonly tag: "merge"; readonly block: AnyBlock }
  | { readonly tag: "residual"; readonly block: AnyBlock }
  | { readonly tag: "repeat"; readonly prefix: string; readonly blocks: readonly AnyBlock[] }
  | { readonly tag: "named"; readonly path: string; readonly block: AnyBlock }
  | { readonly tag: "stage"; readonly label: string; readonly block: AnyBlock };

/** What every block holds, whatever its type-level wires. */
export interface AnyBlock {
  readonly input: WireSpec;
  readonly output: WireSpec;
  readonly expression: BlockExpression;
  /** The source line that built it, where it could be read. */
  readonly source: string | undefined;
}
