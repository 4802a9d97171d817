/** lora: nothing changes while B is 0, merged weights mean the same, and the gradients are those of the products. */

import {
  compile,
  expandBlock,
  grad,
  gradientOutput,
  interpret,
  type LoraOptions,
  lora,
  loraAdapters,
  type Pass,
  runPasses,
} from "@weft/compiler";
import {
  assertClose,
  assertGradients,
  assertOutputsClose,
  gradientsOf,
  lossOutput,
  randomNumbers,
  withLoss,
} from "@weft/compiler/testing";
import {
  axis,
  chain,
  elementCount,
  formatProblems,
  type Graph,
  linear,
  merge,
  named,
  orThrow,
  parallel,
  residual,
  rmsNorm,
  add as sum,
  type TensorArray,
  verifyGraph,
} from "@weft/dsl";
import { isLeft } from "fp-ts/lib/Either.js";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { devicesHere, openDevice } from "../../support/models.ts";
import { runOnDevice } from "../../support/run-plan.ts";

const test = suite("lora");

const hidden = axis("hidden", 16);
const heads = axis("heads", 2);
const headDim = axis("headDim", 12);

/** Two linears of one input, one of two contracted axes, one whose axis stands on both sides, one that shares a weight. */
const block = chain(
  named(
    "layers.0",
    residual(
      chain(
        rmsNorm("norm", hidden, 1e-6),
        parallel(
          linear("q_proj", hidden, [heads, headDim], { bias: true }),
          linear("k_proj", hidden, [heads, headDim]),
        ),
        merge(sum),
        linear("o_proj", [heads, headDim], hidden),
      ),
    ),
  ),
  linear("layers.1.square", hidden, hidden),
  linear("head", hidden, axis("out", 16), { weight: "table" }),
);
const shared = chain(linear("a", hidden, hidden), linear("b", hidden, hidden, { weight: "a.weight" }));

const expanded = (rows: number): Graph =>
  expandBlock(block, { name: "small", lead: [axis("seq", rows)], inputNames: ["x"], outputName: "y" });
const after = (graph: Graph, ...passes: readonly Pass[]): Graph =>
  orThrow(runPasses(graph, passes, verifyGraph)).graph;

const options: LoraOptions = { rank: 3, alpha: 6 };
const scale = options.alpha / options.rank;

function drawn(graph: Graph, { zeroB = false, seed = 1 } = {}) {
  const next = randomNumbers(seed);
  const inputs = new Map<string, TensorArray>();
  const weights = new Map<string, TensorArray>();
  for (const { op, type, attributes } of graph.nodes) {
    if (op !== "input" && op !== "parameter") continue;
    const name = attributes.name as string;
    const axes = type.axes.map((one) => ({ name: one.name, size: one.size as number }));
    const isZero = zeroB && name.endsWith(".lora_B.weight");
    const data = Float64Array.from({ length: elementCount(axes) }, () =>
      isZero ? 0 : Math.fround(next() - 0.5),
    );
    (op === "input" ? inputs : weights).set(name, { dtype: "f32", axes, data });
  }
  return {
    symbols: new Map<string, number>(),
    inputs,
    weights,
    parameters: (name: string) => weights.get(name),
  };
}

/** scale * B A, as the weight has its axes, in plain loops. */
function productOf(a: TensorArray, b: TensorArray): Float64Array {
  const { rank } = options;
  const [inputs, outputs] = [a.data.length / rank, b.data.length / rank];
  return Float64Array.from({ length: inputs * outputs }, (_, at) => {
    const [row, column] = [Math.floor(at / inputs), at % inputs];
    let total = 0;
    for (let k = 0; k < rank; k++) total += b.data[row * rank + k]! * a.data[k * inputs + column]!;
    return scale * total;
  });
}

function mergedOf(weights: ReadonlyMap<string, TensorArray>): Map<string, TensorArray> {
  const merged = new Map(weights);
  for (const { weight, a, b } of loraAdapters(block, options)) {
    const base = weights.get(weight)!;
    const product = productOf(weights.get(a.name)!, weights.get(b.name)!);
    merged.set(weight, { ...base, data: base.data.map((value, at) => value + product[at]!) });
  }
  return merged;
}

test("the parameters are PEFT's, and those that the block tells beforehand", () => {
  const base = expanded(2);
  const known = new Set(base.nodes.map(({ attributes }) => attributes.name));
  const added = after(base, lora(options)).nodes.flatMap(({ op, attributes, type }) =>
    op === "parameter" && !known.has(attributes.name)
      ? [`${attributes.name} ${type.axes.map((one) => `${one.name} ${one.size}`).join(", ")}`]
      : [],
  );
  assert.equal(added, [
    "layers.0.q_proj.lora_A.weight loraRank 3, hidden 16",
    "layers.0.q_proj.lora_B.weight heads 2, headDim 12, loraRank 3",
    "layers.0.k_proj.lora_A.weight loraRank 3, hidden 16",
    "layers.0.k_proj.lora_B.weight heads 2, headDim 12, loraRank 3",
    "layers.0.o_proj.lora_A.weight loraRank 3, heads 2, headDim 12",
    "layers.0.o_proj.lora_B.weight hidden 16, loraRank 3",
    "layers.1.square.lora_A.weight loraRank 3, hidden 16",
    "layers.1.square.lora_B.weight hidden 16, loraRank 3",
  ]);
  const told = loraAdapters(block, options).flatMap(({ a, b }) =>
    [a, b].map(({ name, axes }) => `${name} ${axes.map((one) => `${one.name} ${one.size}`).join(", ")}`),
  );
  assert.equal(told, added);
});

test("with B = 0 the outputs are the base's to the bit; merged weights mean the same as adapters", () => {
  const base = expanded(3);
  const adapted = after(base, lora(options));
  const begun = drawn(adapted, { zeroB: true });
  assert.equal(interpret(adapted, begun), interpret(base, begun));
  const values = drawn(adapted);
  const merged = mergedOf(values.weights);
  const given = interpret(adapted, values);
  assertOutputsClose(given, interpret(base, { ...values, parameters: (name) => merged.get(name) }));
  assert.not.equal(given, interpret(base, values));
});

test("gradients of A and B: central differences, and the products of the weight's own gradient", () => {
  const loss = withLoss(expanded(3));
  const adapted = after(loss, lora(options));
  const values = drawn(adapted);
  assert.ok(assertGradients(adapted, values, { most: 12 }) > 80);
  const gradients = gradientsOf(adapted, values);
  const ofMerged = gradientsOf(loss, { ...values, weights: mergedOf(values.weights) });
  for (const { weight, a, b } of loraAdapters(block, options)) {
    const [down, up] = [values.weights.get(a.name)!, values.weights.get(b.name)!];
    const whole = ofMerged.get(weight)!.data;
    const { rank } = options;
    const [inputs, outputs] = [down.data.length / rank, up.data.length / rank];
    const [ofA, ofB] = [down.data.slice().fill(0), up.data.slice().fill(0)];
    for (let row = 0; row < outputs; row++) {
      for (let column = 0; column < inputs; column++) {
        const one = scale * whole[row * inputs + column]!;
        for (let k = 0; k < rank; k++) {
          ofA[k * inputs + column]! += up.data[row * rank + k]! * one;
          ofB[row * rank + k]! += down.data[k * inputs + column]! * one;
        }
      }
    }
    assertClose(gradients.get(a.name)!, { ...down, data: ofA }, {}, a.name);
    assertClose(gradients.get(b.name)!, { ...up, data: ofB }, {}, b.name);
  }
});

for (const on of await devicesHere()) {
  test(`forward and backward on ${on}, of one row and of many, fused and not`, async () => {
    using device = await openDevice(on);
    for (const [rows, rank] of [
      [1, 3],
      [20, 8],
      [5, 1],
    ] as const) {
      const adapters = loraAdapters(block, { rank, alpha: 4 });
      const parameters = adapters.flatMap(({ a, b }) => [a.name, b.name]);
      const loss = withLoss(expanded(rows));
      const graph = after(loss, lora({ rank, alpha: 4 }), grad({ loss: lossOutput, parameters }));
      assert.equal(
        graph.outputs.map(({ name }) => name),
        [lossOutput, ...parameters.map(gradientOutput)],
      );
      const values = drawn(graph);
      for (const fusion of [true, false]) {
        const actual = await runOnDevice(device, graph, values, { fusion });
        assertOutputsClose(actual, interpret(graph, values), { absolute: 1e-4, relative: 1e-4 });
      }
    }
  });
}

test("A joins the products of its input, and B's product goes on with the base's result and what follows", () => {
  const kernels = (passes: readonly Pass[]) => {
    const program = { name: "main", graph: expanded(4), passes };
    const { plan } = orThrow(compile([program], { name: "small" }));
    return plan.programs[0]!.steps.map(({ origins }) => [...new Set(origins)].join(" "));
  };
  assert.equal(kernels([lora(options)]), [
    "layers.0.norm layers.0.q_proj layers.0.q_proj.lora_A layers.0.k_proj layers.0.k_proj.lora_A",
    "layers.0.k_proj.lora_B layers.0.k_proj",
    "layers.0.q_proj.lora_B layers.0.q_proj layers.0",
    "layers.0.o_proj layers.0.o_proj.lora_A",
    "layers.0.o_proj.lora_B layers.0.o_proj layers.0",
    // The weight renames its input, which has the axis that its result has.
    "layers.1.square.lora_A",
    "layers.1.square.lora_B",
    "layers.1.square",
    "head",
  ]);
});

test("targets are paths, or their ends behind a dot", () => {
  const paths = (...targets: string[]) =>
    loraAdapters(block, { ...options, targets }).map(({ path }) => path);
  assert.equal(paths("o_proj", "q_proj"), ["layers.0.q_proj", "layers.0.o_proj"]);
  assert.equal(paths("layers.1.*"), ["layers.1.square"]);
  assert.equal(paths("*_proj"), ["layers.0.q_proj", "layers.0.k_proj", "layers.0.o_proj"]);
  assert.equal(paths("layers.0.o_proj", "square", "square"), ["layers.0.o_proj", "layers.1.square"]);
});

test("what makes no sense is refused, all of it", () => {
  const refusal = (given: LoraOptions, graph = expanded(2)) => {
    const result = runPasses(graph, [lora(given)], verifyGraph);
    assert.ok(isLeft(result));
    return formatProblems(result.left).split("\n");
  };
  for (const rank of [0, -1, 1.5, Number.NaN]) {
    assert.equal(refusal({ rank, alpha: 0 }), [
      `[lora] the rank must be an integer of at least 1; given ${rank}; 8 or 16 is usual`,
      "[lora] alpha must be a number above 0; given 0; the rank, or twice the rank, is usual",
    ]);
  }
  assert.equal(refusal({ rank: 17, alpha: 1, targets: ["square", "q_proj"] }), [
    "[lora] the rank must be at most 16, the smaller side of the weight; given 17; at layers.0.q_proj; choose a smaller rank, or leave this linear out of the targets",
    "[lora] the rank must be at most 16, the smaller side of the weight; given 17; at layers.1.square; choose a smaller rank, or leave this linear out of the targets",
  ]);
  assert.equal(refusal({ ...options, targets: ["q_prok", "mlp", "head"] }), [
    '[lora] a target must match a linear; given "q_prok"; did you mean "q_proj"?',
    '[lora] a target must match a linear; given "mlp"; linears end with q_proj, k_proj, o_proj, square, head',
    "unsupported: [lora] the linear must have a weight of its own, for merging changes the weight; given table, which is shared; at head; leave it out of the targets",
  ]);
  assert.equal(refusal({ ...options, targets: [] }), ["[lora] the targets must name a linear; given none"]);
  const tied = expandBlock(shared, { name: "tied", lead: [], inputNames: ["x"] });
  assert.equal(
    loraAdapters(shared, options).map(({ path }) => path),
    ["a"],
  );
  assert.match(refusal({ ...options, targets: ["b"] }, tied)[0]!, /given a.weight, which is shared; at b;/);
});

test.run();
