/** What each op is in ONNX: total over the op table, with a reason where ONNX has no standard operator for it. */
import {
  type Axis,
  type BinaryFunction,
  constantValue,
  type OpAttributes,
  type OpName,
  type TensorType,
  type UnaryFunction,
  withoutAxes,
} from "@weft/dsl";
import { dotToOnnx } from "./dot.ts";
import type { OnnxWriter, Tensor } from "./writer.ts";

/** One node of the graph: its inputs as ONNX tensors, and the type that its result must have. */
export interface Site<K extends OpName> {
  readonly writer: OnnxWriter;
  readonly inputs: readonly Tensor[];
  readonly attributes: OpAttributes[K];
  readonly type: TensorType;
}

type Rule<K extends OpName> =
  /** Gives the name of a tensor with the result's axes and dtype. */
  | ((site: Site<K>) => string)
  /** Handled where inputs, weights, states and symbols are known. */
  | "border"
  /** Why there is no such operator. */
  | { readonly refused: string };

/** Computes in f32 where floats are narrower, and rounds the result to its dtype. */
function pointwise(op: string): (site: Site<OpName>) => string {
  return ({ writer, inputs, type }) => {
    const wide = inputs.map((one) => writer.align(writer.wide(one), type.axes));
    const result = writer.node(op, wide);
    return type.dtype === "bf16" || type.dtype === "f16" ? writer.castTo(result, type.dtype) : result;
  };
}

function reduce(op: "ReduceSum" | "ReduceMax"): (site: Site<"reduceSum" | "reduceMax">) => string {
  return ({ writer, inputs: [x], attributes: { axis }, type }) => {
    const result = writer.node(op, [writer.wide(x!).name, writer.constant("i64", [placeOf(x!, axis)])], {
      keepdims: 0,
    });
    return type.dtype === "f32" ? result : writer.castTo(result, type.dtype);
  };
}

const placeOf = (x: Tensor, axis: string) => x.type.axes.findIndex((one) => one.name === axis);
const eachAlone = (axes: readonly Axis[]) => axes.map((one) => [one]);
const reshaped = ({ writer, inputs: [x], type }: Site<OpName>) =>
  writer.reshape(x!.name, eachAlone(type.axes));
const same = ({ inputs: [x] }: Site<OpName>) => x!.name;

function cut(x: Tensor, writer: OnnxWriter, axis: string, start: number, end: number): string {
  const ends = [start, end, placeOf(x, axis)].map((one) => writer.constant("i64", [one]));
  return writer.node("Slice", [x.name, ...ends]);
}

/** ONNX's spelling of "to the end". */
const end = Number.MAX_SAFE_INTEGER;

const unary: { readonly [K in UnaryFunction]: Rule<K> } = {
  neg: pointwise("Neg"),
  abs: pointwise("Abs"),
  exp: pointwise("Exp"),
  log: pointwise("Log"),
  sqrt: pointwise("Sqrt"),
  rsqrt: (site) => {
    const { writer, inputs, type } = site;
    const root = {
      name: writer.node("Sqrt", [writer.wide(inputs[0]!).name]),
      type: { ...type, dtype: "f32" as const },
    };
    return pointwise("Reciprocal")({ ...site, inputs: [root] });
  },
  reciprocal: pointwise("Reciprocal"),
  sin: pointwise("Sin"),
  cos: pointwise("Cos"),
  tanh: pointwise("Tanh"),
  sigmoid: pointwise("Sigmoid"),
  floor: pointwise("Floor"),
};

const binary: { readonly [K in BinaryFunction]: Rule<K> } = {
  add: pointwise("Add"),
  sub: pointwise("Sub"),
  mul: pointwise("Mul"),
  div: pointwise("Div"),
  max: pointwise("Max"),
  min: pointwise("Min"),
  pow: pointwise("Pow"),
  less: pointwise("Less"),
  lessEqual: pointwise("LessOrEqual"),
  equal: pointwise("Equal"),
};

/** Composites are taken apart before, but for those that ONNX has an operator of the same meaning for. */
const composite = { refused: "composites must be decomposed first" } as const;
const training = { refused: "it belongs to training, and ONNX has no standard operator for it" } as const;

export const onnxRules: { readonly [K in OpName]: Rule<K> } = {
  ...unary,
  ...binary,
  input: "border",
  parameter: "border",
  symbol: "border",
  stateAppend: "border",
  stateRead: { refused: "only states that are appended to, a cache, can be inputs and outputs" },
  stateWrite: { refused: "only states that are appended to, a cache, can be inputs and outputs" },
  constant: ({ writer, attributes: { value, dtype } }) => {
    const own = dtype === "i32" || dtype === "bool" ? dtype : "f32";
    const name = writer.constant(own, [constantValue(value)], []);
    return own === dtype ? name : writer.castTo(name, dtype);
  },
  iota: ({ writer, attributes: { axis } }) => {
    if (typeof axis.size === "number")
      return writer.constant(
        "i32",
        Array.from({ length: axis.size }, (_, i) => i),
      );
    const scalar = (value: number) => writer.constant("i64", [value], []);
    const limit = writer.node("Squeeze", [writer.size(axis.size)]);
    return writer.castTo(writer.node("Range", [scalar(0), limit, scalar(1)]), "i32");
  },
  select: ({ writer, inputs, type }) =>
    writer.node(
      "Where",
      inputs.map((one) => writer.align(one, type.axes)),
    ),
  cast: ({ writer, inputs: [x], attributes: { dtype } }) => writer.cast(x!, dtype).name,
  reduceSum: reduce("ReduceSum"),
  reduceMax: reduce("ReduceMax"),
  softmax: ({ writer, inputs: [x], attributes: { axis } }) =>
    writer.node("Softmax", [writer.wide(x!).name], { axis: placeOf(x!, axis) }),
  dot: dotToOnnx,
  gather: ({ writer, inputs: [table, indices], attributes: { axis } }) => {
    const rows = table!.type.axes.filter((one) => one.name === axis);
    const ordered = writer.transpose(table!, [...rows, ...withoutAxes(table!.type, [axis])]);
    return writer.node("Gather", [ordered.name, indices!.name], { axis: 0 });
  },
  rename: same,
  after: same,
  splitAxis: reshaped,
  mergeAxes: reshaped,
  slice: ({ writer, inputs: [x], attributes: { axis, start, size } }) =>
    cut(x!, writer, axis, start, start + size),
  last: ({ writer, inputs: [x], attributes: { axis } }) => cut(x!, writer, axis, -1, end),
  concat: ({ writer, inputs, attributes: { axis } }) =>
    writer.node(
      "Concat",
      inputs.map(({ name }) => name),
      { axis: placeOf(inputs[0]!, axis) },
    ),
  broadcast: ({ writer, inputs: [x], type }) =>
    writer.node("Expand", [writer.align(x!, type.axes), writer.shape(eachAlone(type.axes))]),
  topK: { refused: "ties are broken by index here, and ONNX leaves that open" },
  scatterAdd: training,
  stochasticRound: training,
  quantizeNvfp4: { refused: "its blocks of four bits have no standard operator" },
  position: composite,
  linear: composite,
  embedding: composite,
  rmsNorm: composite,
  silu: composite,
  rope: composite,
  attend: composite,
  attendLogSumExp: composite,
  attendGradient: composite,
  mean: composite,
  crossEntropy: composite,
  crossEntropyGradient: composite,
  meanCrossEntropy: composite,
  pointwise: composite,
};
