// How to test a model's kernels: their number is a decision of the compiler, and no value would show that it changed.
//
//   npx tsx examples/graph-test.ts
import { compile, expandBlock } from "@weft/compiler";
import { axis, chain, linear, merge, mul, orThrow, parallel, residual, rmsNorm, silu } from "@weft/dsl";
import { test } from "uvu";
import * as assert from "uvu/assert";

const hidden = axis("hidden", 64);
const wide = axis("wide", 128);
const seq = axis("seq", { symbol: "seq", max: 32 });

const mlp = residual(
  chain(
    rmsNorm("norm", hidden, 1e-6),
    parallel(chain(linear("gate", hidden, wide), silu), linear("up", hidden, wide)),
    merge(mul),
    linear("down", wide, hidden),
  ),
);

const compileMlp = (fusion: boolean) => {
  const graph = expandBlock(mlp, { name: "mlp", lead: [seq] });
  return orThrow(compile([{ name: "main", graph, passes: [] }], { name: "mlp", fusion }));
};

test("the gated layer is two kernels: norm with gate and up, down with the residual", () => {
  const { plan } = compileMlp(true);
  assert.is(plan.programs[0]!.steps.length, 2);
  assert.equal(
    plan.kernels.map((kernel) => kernel.kind),
    ["matmul", "matmul"],
  );
});

test("without fusion every operation is a kernel of its own", () => {
  assert.ok(compileMlp(false).plan.programs[0]!.steps.length > 8);
});

test("activations need no more room than the step that needs most", () => {
  const [memory] = compileMlp(true).programs;
  assert.is(memory!.bytes, memory!.lowerBound);
});

test.run();
