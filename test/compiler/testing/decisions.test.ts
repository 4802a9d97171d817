/** Expectations about kernels and memory: how they are written, and what they say when something else became one. */
import { compile, expandBlock } from "@weft/compiler";
import { assertKernels, assertPeakBytes, compileBlock } from "@weft/compiler/testing";
import { axis, chain, linear, merge, mul, orThrow, parallel, residual, rmsNorm, silu } from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { failureOf } from "../../support/failure-of.ts";

const test = suite("testing kit: decisions");
const hidden = axis("hidden", 16);
const wide = axis("wide", 32);
const lead = [axis("seq", { symbol: "seq", max: 8 })];

const mlp = residual(
  chain(
    rmsNorm("mlp.norm", hidden, 1e-6),
    parallel(chain(linear("mlp.gate", hidden, wide), silu), linear("mlp.up", hidden, wide)),
    merge(mul),
    linear("mlp.down", wide, hidden),
  ),
);
const compiled = compileBlock(mlp, { lead });

test("an expectation in any detail: names, ops, both, or the kind alone", () => {
  for (const first of [
    "norm + gate + silu + up + mul",
    "matmul: mlp.norm + mlp.gate + silu + mlp.up + mul",
    "rmsNorm + linear + silu + linear + mul",
    "rmsNorm(norm) + linear(mlp.gate) + silu + up + mul",
    "matmul:",
  ]) {
    assertKernels(compiled, `${first}\ndown + add`);
    assertKernels(compiled, ["# the gated product", first, "", "down + add  # and the residual"]);
  }
});

test("another kernel, another kind, another name, or one too few does not hold", () => {
  for (const other of [
    "norm + gate + silu + up\ndown + add",
    "rows: norm + gate + silu + up + mul\ndown + add",
    "norm + gate + silu + other.up + mul\ndown + add",
    "gate + norm + silu + up + mul\ndown + add",
    "norm + gate + silu + up + mul",
    "rmsNorm(gate) + linear(norm) + silu + up + mul\ndown + add",
    "x2:\n  norm + gate + silu + up + mul\ndown + add",
    "",
  ])
    assert.match(
      failureOf(() => assertKernels(compiled, other)),
      "assertKernels: main has 2 kernels, expected",
    );
});

test("what was expected in one kernel and is not: which rule refused, and why", () => {
  const block = chain(linear("one", hidden, wide), rmsNorm("norm", wide, 1e-6), linear("two", wide, hidden));
  assert.is(
    failureOf(() => assertKernels(compileBlock(block, { lead }), "one + norm + two")),
    [
      "assertKernels: main has 2 kernels, expected 1 kernel (- expected, + actual)",
      "  - one + norm + two",
      "  + matmul: one",
      "  + matmul: norm + two",
      "why:",
      "  matmul epilogue refused: reduceSum: a row of all columns is never in one place (norm)",
      "  matmul epilogue refused: mul: the kernel would wait for itself (norm)",
      "  matmul epilogue refused: mul: its value would take 1024 B to store, what it is computed from is stored anyway (norm)",
      "all kernels:",
      "  one",
      "  norm + two",
    ].join("\n"),
  );
  assert.match(
    failureOf(() => assertKernels(compiled, "norm + gate + silu + up + mul\ndown + residual")),
    "why:\n  no kernel computes residual\n",
  );
});

test("repetitions, read and printed", () => {
  const deep = chain(...[0, 1, 2].map((layer) => linear(`layers.${layer}.mix`, hidden, hidden)));
  const plan = compileBlock(deep, { lead });
  assertKernels(plan, "x3:\n  layers.*.mix");
  assertKernels(plan, ["layers.0.mix", "x2:", "  mix"]);
  const said = failureOf(() => assertKernels(plan, "x4:\n  mix"));
  assert.match(said, "has 3 kernels, expected 4 kernels");
  assert.match(said, /all kernels:\n {2}x3:\n {4}mix$/);
  assert.match(
    failureOf(() => assertKernels(plan, "x3:\nmix")),
    'nothing is indented below "x3:"',
  );
  assert.match(
    failureOf(() => assertKernels(plan, "mix ->> mix")),
    'given "mix ->> mix"',
  );
});

test("a program of several must be named; a plan without records cannot tell", () => {
  const graph = expandBlock(mlp, { name: "mlp", lead });
  const inputs = ["train", "decode"].map((name) => ({ name, graph, passes: [] }));
  const both = orThrow(compile(inputs, { name: "both" }));
  assertKernels(both, "norm + gate + silu + up + mul\ndown + add", { program: "decode" });
  assert.match(
    failureOf(() => assertKernels(both, "")),
    'say which: { program: "train" } (train, decode)',
  );
  assert.match(
    failureOf(() => assertPeakBytes(both, 0, { program: "trains" })),
    'did you mean "train"?',
  );
  const bare = orThrow(compile(inputs.slice(0, 1), { name: "bare", record: false }));
  assert.match(
    failureOf(() => assertKernels(bare, "")),
    "compile with { record: true }",
  );
  assertPeakBytes(bare, 8 * 32 * 4);
});

test("a peak: exact, at most, or the lower bound", () => {
  const bytes = 8 * 32 * 4;
  assertPeakBytes(compiled, bytes);
  assertPeakBytes(compiled, { atMost: bytes });
  assertPeakBytes(compiled, "lowerBound");
  const said = failureOf(() => assertPeakBytes(compiled, { atMost: bytes - 1 }));
  assert.match(said, `activations of main take ${bytes} bytes, expected at most ${bytes - 1}: 1 more`);
  assert.match(said, new RegExp(`fullest at step 0, .*: ${bytes} bytes\\n    ${bytes} B {2}f32\\[8, 32\\] `));
  assert.match(
    failureOf(() => assertPeakBytes(compiled, 2 * bytes)),
    `${bytes} fewer`,
  );
});

test.run();
