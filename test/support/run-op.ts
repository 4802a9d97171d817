/** Runs one op on plain arrays, for tests of the op table. */

import { interpret } from "@weft/compiler";
import {
  type ArrayAxis,
  axis,
  type Dtype,
  GraphBuilder,
  inferType,
  type OpAttributes,
  type OpName,
  type TensorArray,
  type TensorType,
  tryInferType,
} from "@weft/dsl";

/** `tensor({ seq: 2, hidden: 3 }, [1, 2, 3, 4, 5, 6])`. Without values, 0, 1, 2, ... */
export function tensor(
  sizes: Readonly<Record<string, number>>,
  values?: readonly number[],
  dtype: Dtype = "f32",
): TensorArray {
  const axes = Object.entries(sizes).map(([name, size]): ArrayAxis => ({ name, size }));
  const count = axes.reduce((product, one) => product * one.size, 1);
  return {
    dtype,
    axes,
    data: Float64Array.from(values ?? Array.from({ length: count }, (_, index) => index)),
  };
}

export function i32(sizes: Readonly<Record<string, number>>, values?: readonly number[]): TensorArray {
  return tensor(sizes, values, "i32");
}

/** The value of one op at the given inputs, composites by their definition. */
export function runOp<K extends OpName>(
  op: K,
  inputs: readonly TensorArray[],
  attributes: OpAttributes[K],
): TensorArray {
  const builder = new GraphBuilder();
  const ids = inputs.map(({ dtype, axes }, index) =>
    builder.add("input", [], { name: `x${index}`, dtype, axes: axes.map((one) => axis(one.name, one.size)) }),
  );
  const graph = builder.finish(op, [{ name: "y", node: builder.add(op, ids, attributes) }]);
  const named = new Map(inputs.map((array, index) => [`x${index}`, array]));
  return interpret(graph, { inputs: named }).get("y")!;
}

/** `f32[seq=2, hidden=3]` as a type; sizes that are words are symbols of at most 8. */
export function typeOf(text: string): TensorType {
  const [, dtype, list] = /^(\w+)\[(.*)\]$/.exec(text)!;
  const axes = list === "" ? [] : list!.split(/,\s*/);
  return {
    dtype: dtype as Dtype,
    axes: axes.map((one) => {
      const [name, size] = one.split("=") as [string, string];
      return { name, size: /^\d+$/.test(size) ? Number(size) : { symbol: size, max: 8 } };
    }),
  };
}

/** The sentence with which an op refuses inputs of these types, or the type that it gives. */
export function ruleOf<K extends OpName>(
  op: K,
  inputs: readonly string[],
  attributes: OpAttributes[K],
): string | TensorType {
  const result = tryInferType(op, inputs.map(typeOf), attributes, { path: "" });
  return "kind" in result ? result.requirement : inferType(op, inputs.map(typeOf), attributes, { path: "" });
}
