/** A step of training against the reference, on every instruction set and several team sizes; what its plan decides. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { compare } from "./compare.ts";
import { trainingPlan } from "./training-plan.ts";

const test = suite("training on the CPU");

for (const [name, options] of [
  ["whole scores", {}],
  ["scores in chunks", { lossChunk: 5 }],
  ["not fused", { fusion: false }],
] as const)
  test(`loss and gradients, ${name}`, async () => {
    const plan = trainingPlan(options);
    for (const seq of [1, 7, 12])
      await compare(
        { plan, program: "step", symbols: { seq } },
        { tolerance: 2e-3, threads: seq === 7 ? [1, 2, 5] : [2] },
      );
  });

/** Kernels of the steps of a middle layer, and what each of them stores. */
function kernelsOfLayer(layer: number): string[] {
  const plan = trainingPlan({ layers: 3, lossChunk: 4 });
  const path = `model.layers.${layer}`;
  return plan.programs[0]!.steps.flatMap(({ kernel, origins }) =>
    origins.some((one) => one === path || one.startsWith(`${path}.`)) ? [plan.kernels[kernel]!.kind] : [],
  );
}

test("a layer takes 7 kernels forward and 26 backward", () => {
  const kinds = kernelsOfLayer(1);
  const count = (kind: string) => kinds.filter((one) => one === kind).length;
  assert.is(kinds.length, 33);
  assert.is(count("attentionForward"), 1);
  assert.is(count("attentionBackward"), 1);
  assert.is(count("matmul"), 4);
  // Two for each weight.
  assert.is(count("contract"), 14);
  assert.is(count("rows"), 13);
});

test("a tied table's gradient is one buffer: rows are added onto the head's product", () => {
  const plan = trainingPlan({ lossChunk: 4 });
  const scatter = plan.kernels.find(({ kind }) => kind === "scatterAdd");
  assert.ok(scatter?.kind === "scatterAdd");
  assert.is(scatter.addends.length, 1);
});

test.run();
