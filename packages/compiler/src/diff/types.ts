/** What differs between two plans, or two graphs, as plain data. */
import type { SymbolValues } from "../cost/cost.ts";

export interface Figures {
  readonly before: number;
  readonly after: number;
}

/** A line that only one side has. */
export interface SignedLine {
  readonly sign: "-" | "+";
  readonly line: string;
}

/**
 * Something at a place. Changes that are the same but for the number of a layer are one: the places then have a `*` for
 * that number (`*+1` for the next layer's), and `layers` are the numbers.
 */
export interface Folded {
  /** In ascending order; none for what lies in no layer. */
  readonly layers: readonly number[];
  /** How many changes this one stands for. */
  readonly times: number;
}

/** A weight, a state, an input, an output or a symbol that is added, gone or another one. */
export interface NamedChange extends Folded {
  readonly kind: "weight" | "state" | "input" | "output" | "parameter" | "symbol";
  readonly name: string;
  /** `f32[64, 128]`; undefined on the side that lacks it. */
  readonly before?: string;
  readonly after?: string;
}

/** Costs of all steps that a change stands for. */
export interface CostFigures {
  readonly readBytes: Figures;
  readonly writtenBytes: Figures;
  /** Floating-point operations; a multiply-add is two. */
  readonly operations: Figures;
}

/** A kernel that only one side has, or that computes the same blocks in another way. */
export interface KernelChange extends Folded, CostFigures {
  readonly state: "added" | "gone" | "changed";
  /** `matmul`, `rows`, ... */
  readonly kind: string;
  /** Named from its operations; those of a changed one may have other operations on both sides. */
  readonly kernel: { readonly before?: string; readonly after?: string };
  /** Paths of the blocks that it computes. */
  readonly origins: readonly string[];
  /** Indices of the steps on both sides. */
  readonly steps: { readonly before: readonly number[]; readonly after: readonly number[] };
  /** Of a changed one: lines of the kernel's text and of its buffers that differ. */
  readonly lines: readonly SignedLine[];
}

export interface ProgramDifference extends CostFigures {
  readonly name: string;
  /** Programs are paired by their names. */
  readonly state: "same" | "changed" | "added" | "gone";
  /** The symbol values at which costs are compared; the same on both sides. */
  readonly at: SymbolValues;
  readonly steps: Figures;
  /** Distinct kernels. */
  readonly kernels: Figures;
  /** Bytes of the arena that the program needs. */
  readonly arenaBytes: Figures;
  /** Steps that are the same on both sides. */
  readonly sameSteps: number;
  readonly changes: readonly KernelChange[];
  /** Inputs and outputs. */
  readonly ports: readonly NamedChange[];
}

export interface PlanDifference {
  readonly name: { readonly before: string; readonly after: string };
  /** Whether nothing differs: kernels, programs, memory, what is bound by name. */
  readonly same: boolean;
  readonly kernels: Figures;
  /** Bytes of each memory class; `activations` is the arena that all programs share. */
  readonly memory: Readonly<Record<"weights" | "state" | "activations" | "input" | "output", Figures>>;
  /** The most bytes of the arena that something alive lies in. */
  readonly peakBytes: Figures;
  readonly symbols: readonly NamedChange[];
  /** Weights and states. */
  readonly buffers: readonly NamedChange[];
  readonly programs: readonly ProgramDifference[];
}

/** Nodes of one block that differ. */
export interface BlockChange extends Folded {
  readonly path: string;
  readonly added: number;
  readonly gone: number;
  readonly changed: number;
  /** A changed node has a line on both sides. */
  readonly lines: readonly SignedLine[];
}

export interface GraphDifference {
  readonly name: { readonly before: string; readonly after: string };
  readonly same: boolean;
  readonly nodes: Figures;
  readonly added: number;
  readonly gone: number;
  /** Nodes with another type or attributes, or that read something else. */
  readonly changed: number;
  /** Symbols, states, inputs, parameters and outputs. */
  readonly ports: readonly NamedChange[];
  readonly blocks: readonly BlockChange[];
}
