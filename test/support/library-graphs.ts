/** A gated block with a residual: products that need their sums, products that write in place, and rows read in place. */
import { compile, emitCuda, expandBlock, precision } from "@weft/compiler";
import { axis, chain, linear, merge, mul, orThrow, parallel, residual } from "@weft/dsl";
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
