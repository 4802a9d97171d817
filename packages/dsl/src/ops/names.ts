/** Every op, and the attributes that each one takes. The tables elsewhere are total over these names. */
import type { Axis } from "../axis.ts";
import type { Dtype } from "../graph/types.ts";
import type { BinaryFunction, ScalarExpression, UnaryFunction } from "./scalar.ts";

type NoAttributes = Readonly<Record<never, never>>;

interface StructureAttributes {
  /** A value that the caller gives at every run. */
  input: { readonly name: string; readonly dtype: Dtype; readonly axes: readonly Axis[] };
  /** A weight, by its Hugging Face name. `dtype` is the storage type. */
  parameter: { readonly name: string; readonly dtype: Dtype; readonly axes: readonly Axis[] };
  constant: { readonly value: number | "inf" | "-inf" | "nan"; readonly dtype: Dtype };
  /** 0, 1, 2, ... along an axis. */
  iota: { readonly axis: Axis };
  /** The value of a run-time symbol. */
  symbol: { readonly name: string };
  /** The absolute position of each element of an axis; a pass decides where it comes from. */
  position: { readonly axis: Axis };
}

interface StateAttributes {
  stateRead: { readonly state: string; readonly axes: readonly Axis[]; readonly dtype: Dtype };
  stateWrite: { readonly state: string };
  /**
   * Writes the value's rows along `axis` into the state's axis `into` from index `past` (a symbol) on, and gives the
   * state's valid part: `into` then has the size `keys`.
   */
  stateAppend: {
    readonly state: string;
    readonly axis: string;
    readonly into: string;
    readonly past: string;
    readonly axes: readonly Axis[];
    readonly dtype: Dtype;
  };
}

interface ReductionAttributes {
  reduceSum: { readonly axis: string };
  reduceMax: { readonly axis: string };
  /** The axis becomes the axis `into` of the `count` that are kept, and the pair of value and index. */
  topK: { readonly axis: string; readonly into: string; readonly count: number };
}

interface ContractionAttributes {
  dot: { readonly contract: readonly string[] };
  gather: { readonly axis: string };
  /** The result's axis, along which the indices count. */
  scatterAdd: { readonly axis: Axis };
}

interface MovementAttributes {
  rename: { readonly from: string; readonly to: string };
  splitAxis: { readonly axis: string; readonly into: readonly Axis[] };
  mergeAxes: { readonly axes: readonly string[]; readonly into: string };
  slice: { readonly axis: string; readonly start: number; readonly size: number };
  concat: { readonly axis: string };
  /** The last element of an axis, which stays with size 1. */
  last: { readonly axis: string };
  /** The axes of the result, in order: x's own, and those along which it is repeated. */
  broadcast: { readonly axes: readonly Axis[] };
  after: NoAttributes;
}

interface AttentionAttributes {
  readonly heads: string;
  readonly kvHeads: string;
  readonly headDim: string;
  readonly causal: boolean;
  readonly scale: number;
  readonly sequence: string;
}

interface CompositeAttributes {
  linear: { readonly from: readonly string[]; readonly to: readonly string[] };
  embedding: { readonly axis: string };
  rmsNorm: { readonly axis: string; readonly epsilon: number };
  softmax: { readonly axis: string };
  silu: NoAttributes;
  rope: { readonly axis: string; readonly theta: number; readonly sequence: string };
  attend: AttentionAttributes & {
    /** The key axis where it differs from the queries' (a cache); absent, keys are the queries' own positions. */
    readonly keys?: string;
  };
  attendLogSumExp: AttentionAttributes;
  attendGradient: AttentionAttributes;
  mean: { readonly axis: string };
  /** The axis of the classes. */
  crossEntropy: { readonly axis: string };
  crossEntropyGradient: { readonly axis: string };
  /** The axis of the classes, and the axes that the mean is taken over. */
  meanCrossEntropy: { readonly axis: string; readonly over: readonly string[] };
  pointwise: { readonly name: string; readonly expression: ScalarExpression };
}

type PointwiseAttributes = { readonly [K in UnaryFunction | BinaryFunction | "select"]: NoAttributes } & {
  readonly cast: { readonly dtype: Dtype };
  readonly stochasticRound: NoAttributes;
  /** `fourOverSix`: the better of two scales for each block. `nonZero`: no code is zero, and scales are rounded up. */
  readonly quantizeNvfp4: { readonly fourOverSix: boolean; readonly nonZero: boolean };
};

export interface OpAttributes
  extends StructureAttributes,
    StateAttributes,
    ReductionAttributes,
    ContractionAttributes,
    MovementAttributes,
    CompositeAttributes,
    PointwiseAttributes {}

export type OpName = keyof OpAttributes;

export type CompositeName = keyof CompositeAttributes;
export type MovementName = keyof MovementAttributes;
