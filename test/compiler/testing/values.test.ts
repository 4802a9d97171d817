/** Equivalence and gradients: what holds, what does not, and what is said of it. */
import { assertEquivalent, compileBlock, gradCheck, TestFailure } from "@weft/compiler/testing";
import {
  axis,
  chain,
  embedding,
  GraphBuilder,
  id,
  linear,
  merge,
  mul,
  parallel,
  pointwise,
  residual,
  rmsNorm,
  silu,
  softmax,
  stage,
} from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { failureOf } from "../../support/failure-of.ts";
import { openDevice } from "../../support/models.ts";

const test = suite("testing kit: values");
const hidden = axis("hidden", 6);
const wide = axis("wide", 5);
const lead = [axis("seq", { symbol: "seq", max: 4 })];
const norm = rmsNorm("norm", hidden, 1e-6);
const up = linear("up", hidden, wide);
const down = linear("down", wide, hidden);
const mlp = residual(chain(norm, parallel(chain(up, silu), up), merge(mul), down));

/** silu, but for large values. */
const nearly = pointwise("nearly", (x) => x.mul(x.sigmoid()).add(x.less(0.9).sub(1).mul(0.25)));

test("blocks that are put together in other ways are equivalent", () => {
  assertEquivalent(
    mlp,
    residual(chain(chain(norm, id), stage("gated", chain(parallel(chain(up, silu), up), mul)), down)),
    {
      lead,
    },
  );
  assertEquivalent(
    silu,
    pointwise("swish", (x) => x.mul(x.sigmoid())),
    { lead: [hidden], runs: 10 },
  );
  const table = embedding("embed", axis("vocab", 9), hidden);
  assertEquivalent(chain(table, softmax(hidden)), chain(table, id, softmax(hidden)), { lead });
});

test("blocks that were never run are not called equal", () => {
  const said = failureOf(() => assertEquivalent(silu, silu, { lead: [hidden], runs: 0 }));
  assert.is(said, "assertEquivalent: runs must be at least 1; given 0");
});

test("blocks that differ: seed, input, first place, and a call that repeats it", () => {
  const said = failureOf(() => assertEquivalent(chain(up, silu), chain(up, nearly), { lead, runs: 50 }));
  assert.match(said, /^assertEquivalent: the second gives another output than the first interpreted\n/);
  const [, seed] = /seed (\d+), seq=\d/.exec(said)!;
  assert.match(said, /\n {2}output\[seq=\d, wide=\d\] is -?[\d.e-]+, expected -?[\d.e-]+ \(/);
  assert.match(said, /\n {2}input = f32\[seq=\d, hidden=6\] -?0\.\d+, .*\n/);
  assert.match(said, `repeat it with assertEquivalent(..., { seed: ${seed}, runs: 1 })`);
  const again = { lead, seed: Number(seed), runs: 1 };
  assert.is(
    failureOf(() => assertEquivalent(chain(up, silu), chain(up, nearly), again)),
    said,
  );
});

test("blocks of other wires, weights or outputs cannot be equivalent", () => {
  assert.is(
    failureOf(() => assertEquivalent(up, norm, { lead })),
    "assertEquivalent: the first block is [..., hidden=6] -> [..., wide=5], the second [..., hidden=6] -> [..., hidden=6]",
  );
  const narrow = chain(linear("up", hidden, axis("narrow", 2)), linear("back", axis("narrow", 2), wide));
  assert.match(
    failureOf(() => assertEquivalent(up, narrow, { lead })),
    "parameter up.weight is f32[wide=5, hidden=6] in the first and f32[narrow=2, hidden=6] in the second",
  );
});

test("on a device both run compiled, and a plan that computes something else is found", async () => {
  using device = await openDevice("cpu");
  const other = chain(norm, parallel(chain(up, silu), up), mul, down);
  await assertEquivalent(mlp, residual(other), { lead, device, runs: 1 });
  // The same device, with a plan in which one weight counts twice.
  const wrong: typeof device = Object.assign(Object.create(device), {
    name: "wrong",
    load: (
      plan: Parameters<typeof device.load>[0],
      weights: (name: string) => { data: Float32Array } | undefined,
    ) =>
      device.load(plan, ((name: string) => {
        const weight = weights(name)!;
        return name === "down.weight" ? { ...weight, data: weight.data.map((one) => 2 * one) } : weight;
      }) as never),
  });
  try {
    await assertEquivalent(mlp, residual(other), { lead, device: wrong, runs: 1 });
  } catch (error) {
    assert.instance(error, TestFailure);
    assert.match(
      (error as Error).message,
      /the first on wrong gives another output than the first interpreted/,
    );
    return;
  }
  assert.unreachable("the wrong plan was equivalent");
});

test("gradients of parameters and inputs are checked, all of them", () => {
  const sizes = 6 + 2 * 30 + 3 * 6;
  const count = gradCheck(mlp, { lead: [axis("seq", 3)] });
  assert.ok(count > sizes - 10 && count <= sizes, `${count} of ${sizes}`);
  assert.ok(gradCheck(softmax(hidden), { lead }) > 0);
  // Integers are no place for a slope.
  assert.is(gradCheck(embedding("embed", axis("vocab", 3), axis("one", 1)), { lead: [axis("seq", 30)] }), 3);
});

test("a gradient that is wrong: parameter, element and both values", () => {
  // The slope that grad gives of a rounding is that of what was rounded.
  const builder = new GraphBuilder();
  const x = builder.add("input", [], { name: "x", dtype: "f32", axes: [hidden] });
  const w = builder.add("parameter", [], { name: "w", dtype: "f32", axes: [hidden] });
  const rounded = builder.add(
    "cast",
    [builder.add("cast", [builder.add("mul", [x, w], {})], { dtype: "bf16" })],
    {
      dtype: "f32",
    },
  );
  const graph = builder.finish("rounded", [{ name: "y", node: rounded }]);
  assert.match(
    failureOf(() => gradCheck(graph, { seed: 3 })),
    /^gradCheck: x\[hidden=\d\] is -?[\d.]+ by grad, -?[\d.e+-]+ by central differences with step 0\.00001 \(seed 3; repeat it with gradCheck\(\.\.\., \{ seed: 3 \}\)\)$/,
  );
});

test("a check that compared nothing is a failure", () => {
  const constant = pointwise("sign", (x) => x.less(0));
  assert.match(
    failureOf(() => gradCheck(constant, { lead })),
    "every derivative is 0, so nothing was checked",
  );
});

test("a block that cannot be compiled says so itself", () => {
  assert.throws(() => compileBlock(norm, { lead: [hidden] }), /hidden/);
});

test.run();
