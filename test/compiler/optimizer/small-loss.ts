/** A loss over a matrix, a vector and a tensor of three axes: whatever an optimizer tells apart. */
import { compile, grad, interpret, type Pass, precision } from "@weft/compiler";
import { type Dtype, type Graph, GraphBuilder, orThrow, type TensorArray } from "@weft/dsl";

const out = { name: "out", size: 5 };
const inner = { name: "inner", size: 6 };
const heads = { name: "heads", size: 2 };

export const names = ["matrix", "bias", "heads"] as const;
export type Name = (typeof names)[number];
export const shapes: Readonly<Record<Name, readonly { readonly name: string; readonly size: number }[]>> = {
  matrix: [out, inner],
  bias: [out],
  heads: [heads, out, inner],
};

/** loss = sum over out of (matrix x + bias + sum over heads of heads x)^2, tokens = twice the input. */
export function smallLoss(): Graph {
  const builder = new GraphBuilder();
  const add = builder.add.bind(builder);
  const x = add("input", [], { name: "x", dtype: "f32", axes: [inner] });
  const tokens = add("input", [], { name: "count", dtype: "f32", axes: [] });
  const parameter = (name: Name) => add("parameter", [], { name, dtype: "f32", axes: shapes[name] });
  const product = (name: Name) => add("reduceSum", [add("mul", [parameter(name), x], {})], { axis: "inner" });
  const perHead = add("reduceSum", [product("heads")], { axis: "heads" });
  const sum = add("add", [add("add", [product("matrix"), parameter("bias")], {}), perHead], {});
  const squares = add("rename", [add("mul", [sum, sum], {})], { from: "out", to: "result" });
  const loss = add("reduceSum", [squares], { axis: "result" });
  return builder.finish("small", [
    { name: "loss", node: loss },
    { name: "tokens", node: add("add", [tokens, tokens], {}) },
  ]);
}

export const backward = (storage: Dtype = "f32"): Pass[] => [
  grad({ loss: "loss" }),
  precision({ policy: "f32", storage: () => storage }),
];

export const sizeOf = (name: Name) => shapes[name].reduce((product, { size }) => product * size, 1);

/** Numbers between -1 and 1 that differ from name to name. */
export function valuesOf(name: string, count: number, seed = 0): Float64Array {
  return Float64Array.from({ length: count }, (_, i) =>
    Math.fround(Math.sin(1 + i * 1.7 + name.length * 3.1 + seed * 5.3)),
  );
}

/** Loss and gradients at given weights, on the interpreter. */
export function gradientsAt(
  weights: ReadonlyMap<Name, Float64Array>,
  x: Float64Array,
): { readonly loss: number; readonly gradients: ReadonlyMap<Name, Float64Array> } {
  const { compiled } = orThrow(
    compile([{ name: "gradients", graph: smallLoss(), passes: backward() }], { name: "small" }),
  );
  const outputs = interpret(compiled[0]!.fused.graph, {
    inputs: {
      x: { dtype: "f32", axes: [inner], data: x },
      count: { dtype: "f32", axes: [], data: Float64Array.of(1) },
    },
    parameters: (name): TensorArray => ({
      dtype: "f32",
      axes: [...shapes[name as Name]],
      data: weights.get(name as Name)!,
    }),
  });
  return {
    loss: outputs.get("loss")!.data[0]!,
    gradients: new Map(names.map((name) => [name, outputs.get(`gradient.${name}`)!.data as Float64Array])),
  };
}
