/**
 * Writes ONNX nodes. A value here is an ONNX tensor whose dimensions are the axes of its type, in their order; what the
 * graph does by axis name becomes transposes and reshapes.
 */
import { type Axis, axisEquals, type Dtype, isFloat, type Size, type TensorType } from "@weft/dsl";
import type { OnnxAttribute, OnnxConstant, OnnxDtype, OnnxNode } from "./types.ts";

export interface Tensor {
  readonly name: string;
  readonly type: TensorType;
}

export class OnnxWriter {
  readonly nodes: OnnxNode[] = [];
  readonly constants: OnnxConstant[] = [];
  /** Where the nodes that follow belong: a block's path. */
  path = "";
  readonly #known = new Map<string, string>();
  readonly #symbol: (name: string) => string;

  /** @param symbol the tensor i64[1] that holds a symbol's value */
  constructor(symbol: (name: string) => string) {
    this.#symbol = symbol;
  }

  /** Adds a node and gives the name of its output. */
  node(
    op: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, OnnxAttribute>> = {},
    output?: string,
  ): string {
    const name = `/${this.path === "" ? "" : `${this.path}/`}${op}_${this.nodes.length}`;
    const result = output ?? `${name}_output`;
    this.nodes.push({ name, op, inputs, output: result, attributes });
    return result;
  }

  /** A tensor of numbers, one of a kind. `dimensions` defaults to a vector of all values. */
  constant(
    dtype: OnnxConstant["dtype"],
    values: readonly number[],
    dimensions: readonly number[] = [values.length],
  ): string {
    const spelled = values.map((value) => (Object.is(value, -0) ? "-0" : String(value))).join();
    const key = `${dtype}[${dimensions.join()}] ${spelled}`;
    const present = this.#known.get(key);
    if (present !== undefined) return present;
    const name = `/constant_${this.constants.length}`;
    this.constants.push({ name, dtype, dimensions, values });
    this.#known.set(key, name);
    return name;
  }

  cast(x: Tensor, dtype: Dtype): Tensor {
    if (x.type.dtype === dtype) return x;
    return { name: this.castTo(x.name, dtype), type: { ...x.type, dtype } };
  }

  castTo(name: string, dtype: Dtype | "i64"): string {
    return this.node("Cast", [name], { to: elementTypes[dtype as OnnxDtype] });
  }

  /** Floats are computed in f32; what is stored in less is widened first. */
  wide(x: Tensor): Tensor {
    return isFloat(x.type.dtype) ? this.cast(x, "f32") : x;
  }

  /** The same values with the axes in another order. */
  transpose(x: Tensor, axes: readonly Axis[]): Tensor {
    const order = axes.map((axis) => x.type.axes.findIndex((one) => one.name === axis.name));
    if (order.every((from, to) => from === to)) return x;
    const type = { ...x.type, axes: order.map((from) => x.type.axes[from]!) };
    return { name: this.node("Transpose", [x.name], { perm: order }), type };
  }

  /** In the order of `axes`, with dimensions of 1 for those that x lacks: ONNX broadcasts from the last one on. */
  align(x: Tensor, axes: readonly Axis[]): string {
    const present = axes.filter((one) => x.type.axes.some(({ name }) => name === one.name));
    const ordered = this.transpose(x, present);
    const first = present.length === 0 ? axes.length : axes.indexOf(present[0]!);
    const missing = axes.flatMap((one, at) => (at > first && !present.includes(one) ? [at - first] : []));
    if (missing.length === 0) return ordered.name;
    return this.node("Unsqueeze", [ordered.name, this.constant("i64", missing)]);
  }

  /** The same elements in the same order with these dimensions, each the product of a group of axes. */
  reshape(name: string, groups: readonly (readonly Axis[])[]): string {
    return this.node("Reshape", [name, this.shape(groups, true)]);
  }

  /** The dimensions as a tensor. With `infer`, the only one that is not fixed is left for ONNX to find. */
  shape(groups: readonly (readonly Axis[])[], infer = false): string {
    const fixed = groups.map((axes) =>
      axes.every(({ size }) => typeof size === "number")
        ? axes.reduce((product, { size }) => product * (size as number), 1)
        : undefined,
    );
    const open = fixed.filter((one) => one === undefined).length;
    if (open === 0 || (infer && open === 1))
      return this.constant(
        "i64",
        fixed.map((one) => one ?? -1),
      );
    const parts = groups.map((axes, at) =>
      fixed[at] === undefined
        ? axes.map(({ size }) => this.size(size)).reduce((a, b) => this.node("Mul", [a, b]))
        : this.constant("i64", [fixed[at]!]),
    );
    return this.node("Concat", parts, { axis: 0 });
  }

  /** A size as i64[1]. */
  size(size: Size): string {
    return typeof size === "number" ? this.constant("i64", [size]) : this.#symbol(size.symbol);
  }
}

/** The numbers of ONNX's TensorProto.DataType. */
export const elementTypes: Readonly<Record<OnnxDtype, number>> = {
  f32: 1,
  i32: 6,
  i64: 7,
  bool: 9,
  f16: 10,
  bf16: 16,
};

export const sameOrder = (a: readonly Axis[], b: readonly Axis[]): boolean =>
  a.length === b.length && a.every((one, at) => axisEquals(one, b[at]!));
