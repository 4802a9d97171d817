/** Products of two NVFP4 matrices: rows that the product quantises itself, and rows that were quantised before it. */
import { expandBlock, type ProgramInput, precision, quantize } from "@weft/compiler";
import {
  type Axis,
  axis,
  chain,
  GraphBuilder,
  linear,
  merge,
  mul,
  type NodeId,
  parallel,
  residual,
} from "@weft/dsl";

export type Fp4Policy = "f32" | "bf16";

/** `product` of x, quantised, and the weight `w`. With `codes`, what was quantised is an output as well. */
export function fp4Product(
  name: string,
  sizes: { readonly rows: number; readonly columns: number; readonly length: number },
  { policy = "bf16" as Fp4Policy, codes = false } = {},
): ProgramInput {
  const builder = new GraphBuilder();
  const [seq, inner, hidden] = [
    axis("seq", sizes.rows),
    axis("inner", sizes.columns),
    axis("hidden", sizes.length),
  ];
  const input = (x: string, axes: readonly Axis[]) =>
    builder.add("input", [], { name: x, dtype: "f32", axes });
  const weight = builder.add("parameter", [], { name: "w", dtype: "nvfp4", axes: [inner, hidden] });
  const quantized = builder.add("quantizeNvfp4", [input("x", [seq, hidden]), builder.constant(1)], {
    fourOverSix: false,
    nonZero: false,
  });
  const wide = builder.add("cast", [quantized], { dtype: "f32" });
  const given: NodeId = policy === "bf16" ? builder.add("cast", [wide], { dtype: "bf16" }) : wide;
  const product = builder.add("linear", [given, weight], { from: ["hidden"], to: ["inner"] });
  const outputs = [{ name: "product", node: product }, ...(codes ? [{ name: "codes", node: given }] : [])];
  return { name, graph: builder.finish(name, outputs), passes: [] };
}

/**
 * A gated block with a residual, its weights of NVFP4 with scales of their tensors, and everything that they are multiplied
 * with quantised. The third product's rows are quantised by the kernel of the first two.
 */
export function fp4Block(
  name: string,
  rows: number,
  { policy = "bf16" as Fp4Policy, length = 48, columns = 80 } = {},
): ProgramInput {
  const [outside, inside] = [axis("hidden", length), axis("inner", columns)];
  const block = residual(
    chain(
      parallel(linear("gate", outside, inside), linear("up", outside, inside)),
      merge(mul),
      linear("down", inside, outside),
    ),
  );
  const graph = expandBlock(block, { name, lead: [axis("seq", { symbol: "seq", max: rows })] });
  return {
    name,
    graph,
    passes: [
      quantize({ weights: () => ({ hasTensorScale: true, activations: "nvfp4" }) }),
      precision({ policy, storage: () => "f32" }),
    ],
  };
}
