// What becomes one kernel, what is written in place and what memory it takes: decisions that values cannot show.
import { explain, printExplanation } from "@weft/compiler";
import { assertKernels, assertPeakBytes, compileBlock } from "@weft/compiler/testing";
import {
  axis,
  chain,
  linear,
  merge,
  mul,
  orThrow,
  parallel,
  residual,
  rmsNorm,
  silu,
  softmax,
} from "@weft/dsl";
import { compileQwen3, type Qwen3CompileOptions } from "@weft/qwen3";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { qwen3Of4B, threeLayers } from "../../support/qwen3-config.ts";

const test = suite("fusion decisions");

const options = (policy: "f32" | "bf16"): Qwen3CompileOptions => ({
  capacity: 64,
  chunk: 32,
  policy,
  storage: () => "bf16",
  logits: "last",
});

const compiledQwen3 = (policy: "f32" | "bf16") => orThrow(compileQwen3(threeLayers, options(policy)));

/** A layer; the last one's first line differs where only its last position is needed. */
const layer = [
  "matmul: input_layernorm + q_proj + q_norm + rope + k_proj + k_norm + v_proj",
  "attention: attend",
  "matmul: o_proj + add",
  "matmul: post_attention_layernorm + gate_proj + silu + up_proj + mul",
  "matmul: down_proj + add",
];

for (const policy of ["f32", "bf16"] as const) {
  test(`decode takes five kernels a layer (${policy})`, () => {
    const expected = [
      "rows: embed_tokens",
      "rows: rope",
      ...layer,
      ...layer,
      ...layer,
      "matmul: norm + lm_head",
    ];
    assertKernels(compiledQwen3(policy), expected, { program: "decode" });
  });

  test(`prefill takes the same, and the last layer only what the last position needs (${policy})`, () => {
    const expected = [
      "rows: embed_tokens",
      "rows: rope + rope",
      "rows: rope",
      ...layer,
      ...layer,
      // The norm feeds the queries of one position, and the keys and values of all.
      "rows: input_layernorm",
      "matmul: q_proj + q_norm + rope",
      "matmul: k_proj + k_norm + rope + v_proj",
      ...layer.slice(1),
      "matmul: norm + lm_head",
    ];
    assertKernels(compiledQwen3(policy), expected, { program: "prefill" });
  });
}

test("equal layers share kernels: 4B needs no more than three layers do", () => {
  const large = orThrow(compileQwen3(qwen3Of4B, { ...options("bf16"), capacity: 4096, chunk: 512 }));
  const small = compiledQwen3("bf16");
  assert.is(large.plan.kernels.length, small.plan.kernels.length);
  assert.equal(
    large.plan.programs.map((one) => one.steps.length),
    [36 * 5 + 6, 36 * 5 + 3],
  );
});

test("the residual stream is written in place, twice a layer", () => {
  const compiled = compiledQwen3("bf16");
  const decode = compiled.programs.find((one) => one.program === "decode")!;
  assert.is(decode.inPlace.length, 2 * 3);
  for (const one of decode.inPlace) assert.match(compiled.plan.buffers[one.to]!.name, /:add%/);
});

test("activations of 4B take no more than the most that is alive at once", () => {
  const compiled = orThrow(compileQwen3(qwen3Of4B, { ...options("bf16"), capacity: 4096, chunk: 512 }));
  for (const { program } of compiled.programs) assertPeakBytes(compiled, "lowerBound", { program });
  // 512 tokens: residual stream f32 2560, queries f32 4096 and attention f32 4096, and the tables of cosines and sines.
  const table = 512 * 64 * 4;
  const last = 2 * 64 * 4;
  assert.is(compiled.plan.memory.activations, 512 * 4 * (2560 + 4096 + 4096) + 2 * table + last);
  assert.is(compiled.plan.memory.state, 36 * 2 * 8 * 4096 * 128 * 2);
});

test("keys and values are written into their cache by the kernel that computes them", () => {
  const { plan } = compiledQwen3("bf16");
  for (const program of plan.programs) {
    const writers = program.steps.filter((step) =>
      plan.kernels[step.kernel]!.slots.some(
        (slot, at) => slot.access !== "read" && plan.buffers[step.bindings[at]!]!.class === "state",
      ),
    );
    assert.is(writers.length, 3);
    for (const step of writers) assert.is(plan.kernels[step.kernel]!.kind, "matmul");
  }
});

const hidden = axis("hidden", 64);
const wide = axis("wide", 96);

const lead = [axis("seq", { symbol: "seq", max: 16 })];

test("a softmax is one row program", () => {
  assertKernels(compileBlock(softmax(hidden), { lead }), "rows: softmax");
});

test("a norm before a matmul is its prologue, a gate after it its epilogue", () => {
  const block = chain(
    rmsNorm("norm", hidden, 1e-6),
    parallel(chain(linear("gate", hidden, wide), silu), linear("up", hidden, wide)),
    merge(mul),
  );
  assertKernels(compileBlock(block, { lead }), "matmul: norm + gate + silu + up + mul");
});

test("a norm after a matmul waits for all columns: it opens the next kernel", () => {
  const block = chain(linear("one", hidden, wide), rmsNorm("norm", wide, 1e-6), linear("two", wide, hidden));
  assertKernels(compileBlock(block, { lead }), ["matmul: one", "matmul: norm + two"]);
});

test("a residual around a matmul ends in its epilogue", () => {
  const block = residual(chain(linear("one", hidden, wide), linear("two", wide, hidden)));
  assertKernels(compileBlock(block, { lead }), ["matmul: one", "matmul: two + add"]);
});

test("without fusion every primitive is a kernel of its own", () => {
  const block = chain(rmsNorm("norm", hidden, 1e-6), linear("one", hidden, wide));
  const unfused = compileBlock(block, { lead, fusion: false });
  assertKernels(unfused, ["x7:", "  rows: norm", "contract: one"]);
});

test("a refusal says where, which rule and why", () => {
  const compiled = compiledQwen3("bf16");
  const explanation = explain(compiled, "model.layers.1.post_attention_layernorm")!;
  assert.ok(
    printExplanation(explanation).includes(
      "refused matmul epilogue: reduceSum: a row of all columns is never in one place (model.layers.1.post_attention_layernorm)",
    ),
  );
});

test.run();
