/** Candidates of a quantised head, scored again by plain rows: what they are on every device, and in which order. */

import {
  candidates,
  compile,
  costOf,
  interpret,
  precision,
  quantize,
  rescore,
  tensorScaleName,
} from "@weft/compiler";
import { randomNumbers } from "@weft/compiler/testing";
import {
  axis,
  decodeNvfp4,
  encodeNvfp4,
  GraphBuilder,
  nvfp4EncodeScale,
  orThrow,
  type TensorArray,
} from "@weft/dsl";
import { bfloat16ToFloat32, float32ToBfloat16 } from "@weft/qwen3";
import type { Weight } from "@weft/runtime";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { devicesHere, openDevice } from "../../support/models.ts";

const test = suite("rescore");
const [size, depth, count] = [200, 48, 32];
const vocab = axis("vocab", size);

/** Logits of one position, of which x is what a norm would give. */
function head(adapted = false) {
  const builder = new GraphBuilder();
  const add = builder.add.bind(builder);
  const x = add("input", [], { name: "x", dtype: "f32", axes: [axis("seq", 1), axis("hidden", depth)] });
  const weight = add("parameter", [], { name: "head", dtype: "f32", axes: [vocab, axis("hidden", depth)] });
  const product = add("linear", [add("neg", [x], {}), weight], { from: ["hidden"], to: ["vocab"] });
  const logits = adapted ? add("add", [product, product], {}) : product;
  return builder.finish("head", [{ name: "logits", node: logits }]);
}

const passesFor = (
  policy: "f32" | "bf16",
  activations: "none" | "nvfp4",
  storage: "f32" | "bf16" = "bf16",
) => [
  quantize({ weights: (name) => (name === "head" ? { hasTensorScale: true, activations } : undefined) }),
  precision({ policy, storage: (name) => (name === "head" ? "nvfp4" : "f32") }),
  candidates({ output: "logits", axis: "vocab", count }),
  rescore({ output: "logits", rows: "head.plain", storage }),
];

type Way = readonly [policy: "f32" | "bf16", activations: "none" | "nvfp4", storage: "f32" | "bf16"];

const compiledWith = ([policy, activations, storage]: Way) =>
  orThrow(
    compile([{ name: "main", graph: head(), passes: passesFor(policy, activations, storage) }], {
      name: "head",
    }),
  );

const next = randomNumbers(3);
/** Rows that differ by little, so that quantised scores are in another order; two are the same. */
const rows = (() => {
  const shared = Float32Array.from({ length: depth }, () => next() - 0.5);
  const values = Float32Array.from(
    { length: size * depth },
    (_, i) => shared[i % depth]! + 0.06 * (next() - 0.5),
  );
  // The likeliest one.
  for (let i = 20 * depth; i < 21 * depth; i++) values[i]! *= 1.1;
  const plain = bfloat16ToFloat32(float32ToBfloat16(values));
  plain.copyWithin(150 * depth, 20 * depth, 21 * depth);
  return plain;
})();
const x = Float32Array.from({ length: depth }, (_, i) => -rows[20 * depth + i]! * 2);
const encodeScale = nvfp4EncodeScale(rows.reduce((most, value) => Math.max(most, Math.abs(value)), 0));
const blocks = encodeNvfp4(rows, { encodeScale });
const scale = Math.fround(1 / encodeScale);

const sources = (storage: "f32" | "bf16"): Readonly<Record<string, Weight>> => ({
  head: { kind: "data", data: blocks.codes, scales: blocks.scales, dtype: "nvfp4", shape: [size, depth] },
  [tensorScaleName("head")]: { kind: "data", data: Float32Array.of(scale), dtype: "f32", shape: [] },
  "head.plain": {
    kind: "data",
    data: storage === "f32" ? rows : float32ToBfloat16(rows),
    dtype: storage,
    shape: [size, depth],
  },
});

const pairsOf = (values: ArrayLike<number>) =>
  Array.from({ length: count }, (_, k) => ({ score: values[2 * k]!, id: values[2 * k + 1]! }));

/** The plain head's score in f64, of x as the policy rounds it. */
function scoreOf(id: number, policy: "f32" | "bf16"): number {
  const own = policy === "bf16" ? bfloat16ToFloat32(float32ToBfloat16(x)) : x;
  return own.reduce((sum, value, i) => sum - value * rows[id * depth + i]!, 0);
}

const ways: readonly Way[] = [
  ["f32", "none", "f32"],
  ["f32", "none", "bf16"],
  ["bf16", "none", "bf16"],
  ["bf16", "nvfp4", "bf16"],
];

for (const on of await devicesHere())
  for (const way of ways)
    test(`${way.join(", ")} on ${on}: the plain head's scores in their order, of the candidates that were picked`, async () => {
      const [policy, , storage] = way;
      using device = await openDevice(on);
      const { plan, compiled } = compiledWith(way);
      using executable = await device.load(plan, sources(storage));
      const { outputs } = await executable.run("main", { symbols: {}, inputs: { x } });
      const found = pairsOf(outputs.candidates as Float32Array);
      const logits = outputs.logits as Float32Array;
      const picked = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || a - b).slice(0, count);
      const ids = found.map(({ id }) => id);
      assert.equal([...ids].sort(), [...picked].sort(), "the same candidates");
      assert.not.equal(ids, picked, "in another order");
      for (const { id, score } of found) assert.ok(Math.abs(score - scoreOf(id, policy)) < 1e-5);
      for (const [k, { score, id }] of found.slice(1).entries())
        assert.ok(score < found[k]!.score || (score === found[k]!.score && id > found[k]!.id), `place ${k}`);
      // The two rows that are the same: the lower index comes first.
      assert.equal(ids.slice(0, 2), [20, 150]);
      const values: Readonly<Record<string, TensorArray>> = {
        head: arrayOf("nvfp4", ["vocab", size], decodeNvfp4(blocks)),
        [tensorScaleName("head")]: { dtype: "f32", axes: [], data: Float64Array.of(scale) },
        "head.plain": arrayOf(storage, ["vocab", size], rows),
        x: arrayOf("f32", ["seq", 1], x),
      };
      const expected = interpret(compiled[0]!.fused.graph, {
        symbols: {},
        inputs: { x: values.x! },
        parameters: (name) => values[name],
      });
      const reference = pairsOf(expected.get("candidates")!.data);
      assert.equal(reference.map(({ id }) => id).slice(0, 2), [20, 150]);
      for (const [k, { score }] of reference.entries()) assert.ok(Math.abs(score - found[k]!.score) < 1e-5);
    });

const arrayOf = (
  dtype: "f32" | "bf16" | "nvfp4",
  [name, length]: [string, number],
  data: Float32Array,
): TensorArray => ({
  dtype,
  axes: [
    { name, size: length },
    { name: "hidden", size: depth },
  ],
  data: Float64Array.from(data),
});

test("no score is lost to one that is no number, and the first says so", async () => {
  using device = await openDevice("cpu");
  const { plan } = compiledWith(["f32", "none", "f32"]);
  const own = sources("f32");
  const broken = rows.slice();
  broken[20 * depth] = Number.NaN;
  using executable = await device.load(
    plan,
    { ...own, "head.plain": { ...own["head.plain"]!, data: broken } as Weight },
    { checkWeights: false },
  );
  const { outputs } = await executable.run("main", { symbols: {}, inputs: { x } });
  assert.ok(Number.isNaN((outputs.candidates as Float32Array)[0]));
});

test("eight kernels more, and of the plain matrix only the candidates' rows", () => {
  const steps = (more: boolean) => {
    const passes = passesFor("bf16", "none").slice(0, more ? 4 : 3);
    const { plan } = orThrow(compile([{ name: "main", graph: head(), passes }], { name: "head" }));
    return plan.programs[0]!.steps.map(({ kernel }) => plan.kernels[kernel]!.name.replace(/_\d+$/, ""));
  };
  assert.equal(steps(false), ["neg_matmul_mul", "top_k"]);
  assert.equal(steps(true), [
    // Two products read it now.
    "neg",
    "matmul_mul",
    "top_k",
    "cast",
    "embedding_mul_reduce_sum",
    "less_select_less_equal_equal_reduce_sum",
    "iota",
    "equal_select_reduce_sum",
    "concat",
    "concat",
  ]);
  const { plan } = compiledWith(["bf16", "none", "bf16"]);
  const scoring = plan.programs[0]!.steps.findIndex(({ kernel }) =>
    plan.kernels[kernel]!.name.startsWith("embedding"),
  );
  const { readBytes } = costOf(plan, plan.programs[0]!, {})[scoring]!;
  // Rows of bf16, x and ids; the whole matrix would be more.
  assert.ok(readBytes >= count * depth * 2 && readBytes < size * depth * 2, `${readBytes}`);
});

test("it needs candidates, and a head that nothing is added to", () => {
  const refused = (adapted: boolean, passes: ReturnType<typeof passesFor>) => {
    const result = compile([{ name: "main", graph: head(adapted), passes }], { name: "head" });
    assert.is(result._tag, "Left");
    return result._tag === "Left"
      ? result.left.map(({ requirement, given }) => `${requirement}; ${given}`).join()
      : "";
  };
  const passes = passesFor("f32", "none");
  assert.match(refused(false, passes.toSpliced(2, 1)), /must have candidates; logits/);
  assert.match(refused(true, passes), /must be one linear without a bias.*; add/);
});

test.run();
