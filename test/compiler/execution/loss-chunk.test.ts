/** The loss of a model's head in chunks of positions: the same values, and whole scores are nowhere. */

import { compile, grad, interpret, precision, runPasses } from "@weft/compiler";
import { assertClose, assertOutputsClose, randomNumbers } from "@weft/compiler/testing";
import { axis, type Graph, GraphBuilder, orThrow, type TensorArray, verifyGraph } from "@weft/dsl";
import type { Device, Executable } from "@weft/runtime";
import { cpuDevice } from "@weft/runtime-cpu";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { rootMeanSquareDifference } from "../../support/largest-difference.ts";
import { devicesHere, openDevice } from "../../support/models.ts";

const test = suite("loss in chunks");

const [hidden, vocab] = [
  { name: "hidden", size: 12 },
  { name: "vocab", size: 71 },
] as const;
const seq = axis("seq", { symbol: "seq", max: 64 });

/** mean cross entropy of linear(exp(x * gain)), with a tied or an own weight. */
function headGraph(meaning: "mean" | "each" = "mean"): Graph {
  const builder = new GraphBuilder();
  builder.declareSymbol({ name: "seq", max: 64 });
  const x = builder.add("input", [], { name: "x", dtype: "f32", axes: [seq, hidden] });
  const targets = builder.add("input", [], { name: "targets", dtype: "i32", axes: [seq] });
  const gain = builder.add("parameter", [], { name: "gain", dtype: "f32", axes: [hidden] });
  const weight = builder.add("parameter", [], { name: "head", dtype: "f32", axes: [vocab, hidden] });
  const inner = builder.add("sin", [builder.add("mul", [x, gain], {})], {});
  const scores = builder.add("linear", [inner, weight], { from: ["hidden"], to: ["vocab"] });
  const loss =
    meaning === "mean"
      ? builder.add("meanCrossEntropy", [scores, targets], { axis: "vocab", over: ["seq"] })
      : builder.add("crossEntropy", [scores, targets], { axis: "vocab" });
  return builder.finish("head", [{ name: "loss", node: loss }]);
}

const differentiated = (graph: Graph) =>
  orThrow(runPasses(graph, [grad({ loss: "loss" })], verifyGraph)).graph;

function valuesFor(length: number) {
  const next = randomNumbers(length + 3);
  const drawn = (count: number) => Float64Array.from({ length: count }, () => Math.fround(2 * next() - 1));
  const along = { name: "seq", size: length };
  const x: TensorArray = { dtype: "f32", axes: [along, hidden], data: drawn(length * 12) };
  const targets: TensorArray = {
    dtype: "i32",
    axes: [along],
    data: Float64Array.from({ length }, (_, i) => (i % 5 === 2 ? -1 : Math.floor(next() * 71))),
  };
  const weights = new Map<string, TensorArray>([
    ["gain", { dtype: "f32", axes: [hidden], data: drawn(12) }],
    ["head", { dtype: "f32", axes: [vocab, hidden], data: drawn(71 * 12) }],
  ]);
  const inputs = new Map([
    ["x", x],
    ["targets", targets],
  ]);
  return {
    symbols: new Map([["seq", length]]),
    inputs,
    weights,
    parameters: (name: string) => weights.get(name),
  };
}

const compiled = (graph: Graph, lossChunk: number) =>
  orThrow(compile([{ name: "main", graph, passes: [] }], { name: "head", lossChunk }));

async function runChunked(graph: Graph, lossChunk: number, length: number, threads = 2) {
  using device = cpuDevice({ threads });
  using executable = await load(device, graph, lossChunk);
  return await runOn(executable, graph, length);
}

/** The weights are the same for all lengths. */
const load = (device: Device, graph: Graph, lossChunk: number) =>
  device.load(compiled(graph, lossChunk).plan, (name) => {
    const { axes, data } = valuesFor(64).weights.get(name)!;
    return { kind: "data", data: Float32Array.from(data), dtype: "f32", shape: axes.map(({ size }) => size) };
  });

async function runOn(executable: Executable, graph: Graph, length: number) {
  const values = { ...valuesFor(length), parameters: valuesFor(64).parameters };
  const inputs = {
    x: Float32Array.from(values.inputs.get("x")!.data),
    targets: Int32Array.from(values.inputs.get("targets")!.data),
  };
  const { outputs } = await executable.run("main", { symbols: { seq: length }, inputs });
  const expected = interpret(graph, values);
  const actual = new Map(
    [...expected].map(([name, one]) => [name, { ...one, data: Float64Array.from(outputs[name]!) }]),
  );
  return { actual, expected, outputs };
}

for (const meaning of ["mean", "each"] as const)
  test(`${meaning}: loss and gradients are those of the definition`, async () => {
    const graph = meaning === "mean" ? differentiated(headGraph()) : headGraph("each");
    for (const [chunk, length] of [
      [64, 64],
      [16, 64],
      [16, 37],
      [7, 20],
      [1, 3],
      [100, 9],
    ] as const) {
      const { actual, expected } = await runChunked(graph, chunk, length);
      assertOutputsClose(actual, expected, { absolute: 1e-5, relative: 1e-4 });
    }
  });

for (const on of (await devicesHere()).filter((one) => one !== "cpu")) {
  for (const policy of ["f32", "bf16"] as const)
    test(`${policy} on ${on}: the last chunk is a part, or nothing is left of it`, async () => {
      const passes = [precision({ policy, storage: () => "f32", roundWeights: true })];
      const graph = orThrow(runPasses(differentiated(headGraph()), passes, verifyGraph)).graph;
      using device = await openDevice(on);
      using executable = await load(device, graph, 24);
      for (const length of [37, 48, 64, 5]) {
        const { actual, expected } = await runOn(executable, graph, length);
        if (policy === "f32") assertOutputsClose(actual, expected, { absolute: 1e-5, relative: 1e-4 });
        else
          for (const [name, one] of expected) {
            if (name === "loss")
              assertClose(actual.get(name)!, one, { absolute: 1e-5, relative: 1e-5 }, name);
            const parts = [[actual.get(name)!.data], [one.data]] as const;
            const share = rootMeanSquareDifference(...parts) / rootMeanSquareDifference(parts[1]);
            // A slope that lies between two bf16 values may be rounded to either.
            assert.ok(share < 2e-3, `${name} of ${length} differs by ${share} of its size`);
          }
      }
    });
}

test("the same bits for one, two and five threads", async () => {
  const graph = differentiated(headGraph());
  const results = new Set<string>();
  for (const threads of [1, 2, 5]) {
    const { outputs } = await runChunked(graph, 16, 61, threads);
    results.add(
      Object.values(outputs)
        .map((data) => Buffer.from(data.slice().buffer).toString("base64"))
        .join(),
    );
  }
  assert.is(results.size, 1);
});

test("one kernel does it, and the plan holds the scores of one chunk only", () => {
  const graph = differentiated(headGraph());
  const { plan } = compiled(graph, 16);
  assert.equal(
    plan.kernels.map(({ kind }) => kind).filter((kind) => kind !== "rows"),
    ["linearCrossEntropy"],
  );
  const wide = plan.buffers.filter((one) => one.class === "activations" && one.shape.includes(71));
  assert.equal(
    wide.map(({ shape }) => shape),
    [[16, 71]],
  );
  // Whole scores and their slopes are 2 * 64 * 71 * 4 bytes.
  const whole = orThrow(compile([{ name: "main", graph, passes: [] }], { name: "head" })).plan;
  assert.is(plan.memory.activations, 14592);
  assert.is(whole.memory.activations, 43520);
});

test("bf16: the slopes are rounded before they are multiplied", () => {
  const passes = [precision({ policy: "bf16", storage: () => "bf16" })];
  const graph = orThrow(runPasses(differentiated(headGraph()), passes, verifyGraph)).graph;
  const { plan } = compiled(graph, 16);
  const kernel = plan.kernels.find(({ kind }) => kind === "linearCrossEntropy");
  assert.ok(kernel?.kind === "linearCrossEntropy");
  assert.is(kernel.slopeDtype, "bf16");
});

test("scores that something else reads are refused", () => {
  const graph = headGraph();
  const scores = graph.nodes.find(({ op }) => op === "linear")!.id;
  const outputs = [...graph.outputs, { name: "scores", node: scores }];
  assert.throws(
    () => compiled({ ...graph, outputs }, 16),
    "unsupported: [lossChunk] the loss must be the cross entropy of a linear layer, and go back through it only; given the scores are an output; compile without lossChunk",
  );
});

test.run();
