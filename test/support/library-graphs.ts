/**
 * Plans with products that a library may take. A gated block with a residual: products that need their sums, products that
 * write in place, and rows read in place. And contractions whose operands lie along the contracted axis, or across it.
 */
import { compile, emitCuda, expandBlock, precision } from "@weft/compiler";
import { axis, chain, GraphBuilder, linear, merge, mul, orThrow, parallel, residual } from "@weft/dsl";
import type { EmittedPlan } from "./cuda-plans.ts";

export const hidden = 16;
export const inner = 24;

/** Its rows are `rows`, the same in every run. */
export function gatedPlan(
  rows: number,
  { policy = "bf16" as "bf16" | "f32", length = hidden, columns = inner } = {},
): EmittedPlan {
  const outside = axis("hidden", length);
  const inside = axis("inner", columns);
  const block = residual(
    chain(
      parallel(linear("gate", outside, inside), linear("up", outside, inside)),
      merge(mul),
      linear("down", inside, outside),
    ),
  );
  const graph = expandBlock(block, { name: "gated", lead: [axis("seq", rows)] });
  const passes = [precision({ policy, storage: () => policy })];
  const { plan } = orThrow(compile([{ name: "main", graph, passes }], { name: "gated" }));
  return { plan, cuda: emitCuda(plan) };
}

export const crossedRows = 128;

/** Which of the operands lie across: `a` of 128 rows, `b` of 24 columns, 16 deep. */
export const crossings = [
  [false, false],
  [true, false],
  [false, true],
  [true, true],
] as const;
export const crossingName = ([a, b]: readonly [boolean, boolean]): string =>
  `a ${a ? "across" : "along"}, b ${b ? "across" : "along"}`;

/** A program for each of the crossings, all with the same inputs but for their order, all bf16. */
export function crossedPlan(): EmittedPlan {
  const [rows, columns, depth] = [axis("rows", crossedRows), axis("columns", inner), axis("depth", hidden)];
  const programs = crossings.map((crossing) => {
    const builder = new GraphBuilder();
    const [a, b] = [rows, columns].map((own, index) => {
      const axes = crossing[index]! ? [depth, own] : [own, depth];
      const given = builder.add("input", [], { name: index === 0 ? "a" : "b", dtype: "f32", axes });
      return builder.add("cast", [given], { dtype: "bf16" });
    });
    const product = builder.add("dot", [a!, b!], { contract: ["depth"] });
    const name = crossingName(crossing);
    return { name, graph: builder.finish(name, [{ name: "out", node: product }]), passes: [] };
  });
  const { plan } = orThrow(compile(programs, { name: "crossed" }));
  return { plan, cuda: emitCuda(plan) };
}

/** Small whole numbers, which every order of addition gives the same sum of. */
export function crossedInputs(crossing: readonly [boolean, boolean]): Record<"a" | "b", Float32Array> {
  const laid = (size: number, isAcross: boolean, factor: number) => {
    const data = new Float32Array(size * hidden);
    for (let i = 0; i < size; i++)
      for (let k = 0; k < hidden; k++)
        data[isAcross ? k * size + i : i * hidden + k] = ((i * factor + k * 3) % 7) - 3;
    return data;
  };
  return { a: laid(crossedRows, crossing[0], 5), b: laid(inner, crossing[1], 11) };
}
