// The difference of two plans: which step is which, what of it differs, and the totals.
import {
  type Compiled,
  compile,
  differenceOfPlans,
  expandBlock,
  type KernelChange,
  type Plan,
  type PlanDifference,
  printPlanDifference,
} from "@weft/compiler";
import {
  type AnyBlock,
  axis,
  chain,
  linear,
  orThrow,
  pointwise,
  residual,
  rmsNorm,
  silu,
  tanh,
} from "@weft/dsl";
import { compileQwen3, type Qwen3CompileOptions } from "@weft/qwen3";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "../../support/fast-check.ts";
import { configOf, threeLayers } from "../../support/qwen3-config.ts";
import { randomGraph } from "../../support/random-graph.ts";

const test = suite("difference of plans");

const hidden = axis("hidden", 64);
const wide = axis("wide", 256);
const seq = axis("seq", { symbol: "seq", max: 16 });

const planOf = (block: AnyBlock, fusion = true): Plan => {
  const graph = expandBlock(block, { name: "block", lead: [seq] });
  return orThrow(compile([{ name: "main", graph, passes: [] }], { name: "block", fusion })).plan;
};

const mlp = chain(linear("up", hidden, wide), silu, linear("down", wide, hidden));
const normed = chain(rmsNorm("norm", hidden, 1e-6), mlp);

const qwen3 = (options: Partial<Qwen3CompileOptions> = {}): Compiled =>
  orThrow(
    compileQwen3(threeLayers, {
      capacity: 64,
      chunk: 32,
      policy: "f32",
      storage: () => "f32",
      logits: "last",
      ...options,
    }),
  );
const exact = qwen3().plan;
const narrow = qwen3({ policy: "bf16", storage: () => "bf16" }).plan;

/** `~ matmul up`: each change of the only program in a line. */
const changesOf = ({ programs }: PlanDifference, program = 0) =>
  programs[program]!.changes.map(
    ({ state, kind, kernel, origins, layers }) =>
      `${state} ${kind} ${kernel.after ?? kernel.before} of ${origins.join(", ")}${layers.length === 0 ? "" : ` in ${layers.join()}`}`,
  );

const count = (changes: readonly KernelChange[], state: KernelChange["state"]) =>
  changes.filter((one) => one.state === state).reduce((sum, one) => sum + one.times, 0);

test("a plan and itself: no difference", () => {
  for (const plan of [planOf(mlp), exact]) {
    const difference = differenceOfPlans(plan, structuredClone(plan));
    assert.ok(difference.same);
    assert.ok(difference.programs.every(({ state, changes }) => state === "same" && changes.length === 0));
    assert.is(printPlanDifference(difference), "no difference");
  }
});

test("a norm before the product changes that kernel only, and says which lines", () => {
  const difference = differenceOfPlans(planOf(mlp), planOf(normed));
  // The path of the norm comes first in the kernel that it is the prologue of.
  assert.equal(changesOf(difference), [
    "gone matmul matmul_silu of up",
    "added matmul rms_norm_matmul_silu of norm, up",
  ]);
  assert.is(difference.programs[0]!.sameSteps, 1);
  assert.equal(
    difference.buffers.map(({ kind, name, before, after }) => [kind, name, before, after]),
    [["weight", "norm.weight", undefined, "f32[64]"]],
  );
  assert.equal(difference.memory.weights, { before: 2 * 64 * 256 * 4, after: (2 * 64 * 256 + 64) * 4 });
});

test("the same blocks computed in another way are changed kernels, with the lines that differ", () => {
  const scaled = (factor: number, more: typeof silu) => {
    const scale = pointwise("scale", (x) => x.mul(factor));
    return planOf(chain(linear("up", hidden, wide), scale, more, linear("down", wide, hidden)));
  };
  const [change] = differenceOfPlans(scaled(2, silu), scaled(3, tanh)).programs[0]!.changes;
  assert.equal(change!.kernel, { before: "matmul_pointwise_silu", after: "matmul_pointwise_tanh" });
  assert.equal(
    change!.lines.map(({ sign, line }) => `${sign} ${line}`),
    [
      "- matmul matmul_pointwise_silu(b0: read f32, b1: read f32, b2: write f32)",
      "+ matmul matmul_pointwise_tanh(b0: read f32, b1: read f32, b2: write f32)",
      "- r1 = 2",
      "+ r1 = 3",
      "- r3 = sigmoid r2",
      "- r4 = mul r2 r3",
      "+ r3 = tanh r2",
      "- store b2[256*seq + row] = r4",
      "+ store b2[256*seq + row] = r3",
      "- b2: f32[16, 256] of activations, silu",
      "+ b2: f32[16, 256] of activations, tanh",
    ],
  );
  assert.equal(change!.readBytes.before, change!.readBytes.after);
});

test("two precisions: every kernel of a layer is changed, and equal layers are one change", () => {
  const decode = differenceOfPlans(exact, narrow).programs.find(({ name }) => name === "decode")!;
  assert.equal(
    [decode.steps, decode.sameSteps, count(decode.changes, "gone"), count(decode.changes, "added")],
    [{ before: 18, after: 18 }, 1, 0, 0],
  );
  const told = decode.changes.map(({ kind, times, layers, origins }) => [
    kind,
    times,
    layers.join(),
    origins[0],
  ]);
  assert.equal(told, [
    ["rows", 1, "", "model.embed_tokens"],
    ["matmul", 3, "0,1,2", "model.layers.*.input_layernorm"],
    ["attention", 3, "0,1,2", "model.layers.*"],
    ["matmul", 3, "0,1,2", "model.layers.*.self_attn.o_proj"],
    ["matmul", 3, "0,1,2", "model.layers.*.post_attention_layernorm"],
    ["matmul", 3, "0,1,2", "model.layers.*.mlp.down_proj"],
    ["matmul", 1, "", "model.norm"],
  ]);
  const text = printPlanDifference(differenceOfPlans(exact, narrow));
  assert.match(text, "x3 weight model.layers.{0..2}.mlp.down_proj.weight: f32[64, 128] -> bf16[64, 128]");
  assert.match(text, /^ {2}weights +[\d.]+ KiB +[\d.]+ KiB +-[\d.]+ KiB +-50\.0 %$/m);
  assert.match(text, "steps: 17 changed, 0 gone, 0 added, 1 the same");
});

test("fused and unfused: what is fused is added, its parts are gone", () => {
  const [main] = differenceOfPlans(planOf(residual(mlp), false), planOf(residual(mlp))).programs;
  assert.equal([main!.steps.before, main!.steps.after], [5, 2]);
  assert.equal([count(main!.changes, "gone"), count(main!.changes, "added"), main!.sameSteps], [5, 2, 0]);
  assert.ok(main!.writtenBytes.after < main!.writtenBytes.before);
});

test("numbers that shift are no difference: of nodes, of kernels and of buffers", () => {
  const other: Plan = structuredClone(exact);
  for (const buffer of other.buffers) {
    if (buffer.class === "activations")
      buffer.name = buffer.name.replace(/%(\d+)$/, (_, id) => `%${Number(id) + 7}`);
  }
  other.kernels.reverse();
  other.kernels.forEach((kernel, index) => {
    kernel.name = `${kernel.name.replace(/_\d+$/, "")}_${index + 2}`;
  });
  for (const { steps } of other.programs)
    for (const step of steps) step.kernel = other.kernels.length - 1 - step.kernel;
  assert.ok(differenceOfPlans(exact, other).same);
});

test("steps that are taken out or put in, and others that move, are told apart", () => {
  const other: Plan = structuredClone(exact);
  const { steps } = other.programs[1]!;
  const [taken] = steps.splice(3, 1);
  const { changes, sameSteps } = differenceOfPlans(exact, other).programs[1]!;
  assert.is(sameSteps, steps.length);
  assert.equal(
    changes.map(({ state, steps: at, origins }) => [state, at, origins]),
    [["gone", { before: [3], after: [] }, taken!.origins.map((path) => path.replace(".0", ".*"))]],
  );
  const swapped: Plan = structuredClone(exact);
  swapped.programs[1]!.steps.reverse();
  assert.is(differenceOfPlans(exact, swapped).programs[1]!.changes.length, 0);
});

test("programs are paired by their names; one that only one side has is said", () => {
  const decodeOnly = qwen3({ chunk: 1 }).plan;
  const difference = differenceOfPlans(exact, decodeOnly);
  assert.equal(
    difference.programs.map(({ name, state }) => `${name} ${state}`),
    ["prefill gone", "decode same"],
  );
  assert.not.ok(difference.same);
  const text = printPlanDifference(difference);
  assert.match(text, /^program prefill at .*: only in A$/m);
  assert.match(text, /^program decode at .*: no difference$/m);
  assert.match(
    printPlanDifference(differenceOfPlans(decodeOnly, exact)),
    /^program prefill at .*: only in B$/m,
  );
});

test("memory, symbols and ports", () => {
  const roomy = qwen3({ capacity: 128, chunk: 16 }).plan;
  const difference = differenceOfPlans(exact, roomy);
  assert.equal(difference.memory.state, { before: exact.memory.state, after: 2 * exact.memory.state });
  assert.equal(
    difference.symbols.map(({ name, before, after }) => `${name}: ${before} -> ${after}`),
    [
      "seq: at most 32 -> at most 16",
      "past: at most 63 -> at most 127",
      "dropped: at most 16777152 -> at most 16777088",
      "keys: at most 64, past + seq -> at most 128, past + seq",
    ],
  );
  const prefill = difference.programs[0]!;
  // Both are asked at a length that both allow.
  assert.is(prefill.at.seq, 16);
  assert.equal(
    prefill.ports.map(({ kind, name, before, after }) => [kind, name, before, after]),
    [["input", "tokens", "i32[32]", "i32[16]"]],
  );
});

test("changes of some layers name these, and one of a single layer is written out", () => {
  const seven = configOf({
    hidden: 64,
    layers: 7,
    heads: 4,
    kvHeads: 2,
    headDim: 16,
    intermediate: 128,
    vocab: 320,
  });
  const plan = (narrowed: readonly number[]) =>
    orThrow(
      compileQwen3(seven, {
        capacity: 64,
        chunk: 1,
        policy: "f32",
        storage: (name) => (narrowed.some((layer) => name.includes(`.${layer}.mlp.down`)) ? "bf16" : "f32"),
        logits: "last",
      }),
    ).plan;
  const text = printPlanDifference(differenceOfPlans(plan([]), plan([0, 1, 2, 5])));
  assert.match(text, "x4 weight model.layers.{0..2,5}.mlp.down_proj.weight");
  const single = printPlanDifference(differenceOfPlans(plan([]), plan([4])));
  assert.match(single, /~ weight model\.layers\.4\.mlp\.down_proj\.weight/);
  assert.match(single, /\n {6}of model\.layers\.4\.mlp\.down_proj, model\.layers\.4\n/);
});

test("lines are cut where there are many", () => {
  const difference = differenceOfPlans(exact, narrow);
  const lines = (most: number) => printPlanDifference(difference, { lines: most }).split("\n");
  assert.not.ok(lines(0).some((line) => /^ {6}[-+] /.test(line)));
  assert.ok(lines(2).some((line) => /^ {6}\.\.\. and \d+ more lines?$/.test(line)));
  assert.not.ok(lines(10000).some((line) => line.includes("more line")));
});

/** The cost model knows no sums of sums. */
const isCounted = ({ symbols }: Plan) =>
  symbols.every(({ sum }) => sum.every((index) => symbols[index]!.sum.length === 0));

test("every step of random plans is accounted for, whichever side comes first", () => {
  fc.assert(
    fc.property(randomGraph(), randomGraph(), fc.boolean(), (left, right, fusion) => {
      const plans = [left, right].map((graph) =>
        compile([{ name: "main", graph, passes: [] }], { name: "random", fusion }),
      );
      const [a, b] = plans.map((one) => (one._tag === "Right" ? one.right.plan : undefined));
      if (a === undefined || b === undefined || !isCounted(a) || !isCounted(b)) return;
      assert.ok(differenceOfPlans(a, structuredClone(a)).same);
      const [forth, back] = [differenceOfPlans(a, b).programs[0]!, differenceOfPlans(b, a).programs[0]!];
      const changed = count(forth.changes, "changed");
      assert.is(forth.sameSteps + changed + count(forth.changes, "gone"), forth.steps.before);
      assert.is(forth.sameSteps + changed + count(forth.changes, "added"), forth.steps.after);
      assert.is(count(back.changes, "gone"), count(forth.changes, "added"));
      assert.is(back.sameSteps, forth.sameSteps);
    }),
    { numRuns: 60 },
  );
});

test.run();
