/** An ONNX graph as plain data: what a file needs, without how protobuf lays it out. */
import type { Dtype } from "@weft/dsl";

/** i64 stands at the borders only: exporters give indices so, and shapes are made of it. */
export type OnnxDtype = Exclude<Dtype, NarrowDtype> | "i64";

/** What standard operators do not compute with. */
export type NarrowDtype = "nvfp4" | "f8e4m3" | "i8";

/** A number, or the name of a size that is known at run time. */
export type OnnxDimension = number | string;

export interface OnnxValue {
  readonly name: string;
  readonly dtype: OnnxDtype;
  readonly dimensions: readonly OnnxDimension[];
}

export type OnnxAttribute = number | readonly number[];

export interface OnnxNode {
  readonly name: string;
  readonly op: string;
  readonly inputs: readonly string[];
  readonly output: string;
  /** Integers. */
  readonly attributes: Readonly<Record<string, OnnxAttribute>>;
}

/** A small tensor of the graph's own. */
export interface OnnxConstant {
  readonly name: string;
  readonly dtype: "f32" | "i32" | "i64" | "bool";
  readonly dimensions: readonly number[];
  readonly values: readonly number[];
}

/** A weight by its name in the checkpoint; its values lie there, row-major. */
export interface OnnxWeight {
  readonly name: string;
  readonly dtype: "f32" | "bf16" | "f16" | "i32";
  readonly dimensions: readonly number[];
}

export interface OnnxGraph {
  readonly name: string;
  readonly opset: number;
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  /** In an order in which they can be computed. */
  readonly nodes: readonly OnnxNode[];
  readonly constants: readonly OnnxConstant[];
  readonly weights: readonly OnnxWeight[];
}

/** The version of ONNX's standard operators that graphs are written in. */
export const onnxOpset = 18;

export interface OnnxOptions {
  /** Inputs, outputs and states get a first dimension of 1, as runners of one text expect. Default false. */
  readonly batch?: boolean;
  /** Names of inputs and outputs where they differ from the graph's. */
  readonly rename?: Readonly<Record<string, string>>;
  /** The input that holds a state before the run, and the output that holds it behind. Default: `NAME` and `NAME.next`. */
  readonly stateNames?: (state: string) => { readonly past: string; readonly present: string };
  /** The names of symbolic dimensions. Default: the symbols' own. */
  readonly dimension?: (symbol: string) => string;
  /** Symbols that are fixed, since no shape says them. */
  readonly symbols?: Readonly<Record<string, number>>;
}
