/**
 * Attention of a training step on every device: forward with documents' starts, the number that backward needs, and the
 * gradients of queries, keys and values, held against the definitions.
 */

import { compile, interpret, type Plan } from "@weft/compiler";
import { assertClose, assertOutputsClose, randomNumbers } from "@weft/compiler/testing";
import {
  type Axis,
  axis,
  type Dtype,
  type Graph,
  GraphBuilder,
  orThrow,
  sizeFor,
  type TensorArray,
} from "@weft/dsl";
import { cpuDevice } from "@weft/runtime-cpu";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { rootMeanSquareDifference } from "../../support/largest-difference.ts";
import { devicesHere, openDevice } from "../../support/models.ts";

const test = suite("attention of a training step");

interface Case {
  readonly length: number;
  readonly kvHeads: number;
  readonly group: number;
  readonly headDim: number;
  readonly causal?: boolean;
  /** Lengths of the documents; none: one sequence without starts. */
  readonly documents?: readonly number[];
  readonly dtype?: Dtype;
  /** Only cheap ones go to the simulator. */
  readonly long?: boolean;
}

const cases: Readonly<Record<string, Case>> = {
  "one head": { length: 5, kvHeads: 1, group: 1, headDim: 4 },
  "grouped heads of odd size": { length: 7, kvHeads: 2, group: 3, headDim: 5 },
  "not causal": { length: 9, kvHeads: 2, group: 1, headDim: 8, causal: false },
  documents: { length: 11, kvHeads: 2, group: 2, headDim: 6, documents: [1, 4, 3, 3] },
  "operands in bf16": { length: 8, kvHeads: 1, group: 2, headDim: 16, documents: [5, 3], dtype: "bf16" },
  "tiles of keys and queries": { length: 70, kvHeads: 1, group: 3, headDim: 16, dtype: "bf16" },
  "tiles and documents": {
    length: 75,
    kvHeads: 2,
    group: 1,
    headDim: 32,
    documents: [3, 38, 33, 1],
    dtype: "bf16",
  },
  "tiles without causality": { length: 37, kvHeads: 1, group: 2, headDim: 16, causal: false, dtype: "bf16" },
  "one position": { length: 1, kvHeads: 2, group: 2, headDim: 4, documents: [1] },
  "several blocks": { length: 150, kvHeads: 2, group: 2, headDim: 40, long: true },
  "documents over several blocks": {
    length: 301,
    kvHeads: 1,
    group: 3,
    headDim: 24,
    documents: [3, 140, 129, 29],
    long: true,
  },
  "blocks without causality": { length: 140, kvHeads: 1, group: 1, headDim: 33, causal: false, long: true },
};

function graphOf({ kvHeads, group, headDim, causal = true, documents, dtype = "f32" }: Case): Graph {
  const builder = new GraphBuilder();
  const seq = axis("seq", { symbol: "seq", max: 310 });
  builder.declareSymbol({ name: "seq", max: 310 });
  const [own, shared, dim] = [
    axis("heads", kvHeads * group),
    axis("kvHeads", kvHeads),
    axis("headDim", headDim),
  ];
  const given = (name: string, axes: Axis[]) => {
    const x = builder.add("input", [], { name, dtype: "f32", axes: [seq, ...axes] });
    return dtype === "f32" || name === "cotangent" ? x : builder.add("cast", [x], { dtype });
  };
  const [q, k, v] = [given("q", [own, dim]), given("k", [shared, dim]), given("v", [shared, dim])];
  const cotangent = given("cotangent", [own, dim]);
  const starts =
    documents === undefined ? [] : [builder.add("input", [], { name: "starts", dtype: "i32", axes: [seq] })];
  const index = builder.add("iota", [], { axis: seq });
  const attributes = {
    heads: "heads",
    kvHeads: "kvHeads",
    headDim: "headDim",
    causal,
    scale: 0.3,
    sequence: "seq",
  };
  const result = builder.add("attend", [q, k, v, index, ...starts], attributes);
  const sums = builder.add("attendLogSumExp", [q, k, index, ...starts], attributes);
  const gradient = builder.add(
    "attendGradient",
    [q, k, v, index, result, sums, cotangent, ...starts],
    attributes,
  );
  return builder.finish("attention", [
    { name: "result", node: result },
    { name: "sums", node: sums },
    { name: "gradient", node: gradient },
  ]);
}

function valuesFor(graph: Graph, { length, documents }: Case) {
  const next = randomNumbers(length);
  const symbols = new Map([["seq", length]]);
  const starts = (documents ?? []).flatMap((size, at, all) => {
    const before = all.slice(0, at).reduce((sum, one) => sum + one, 0);
    return new Array<number>(size).fill(before);
  });
  const inputs = new Map(
    graph.nodes.flatMap(({ op, type, attributes }) => {
      if (op !== "input") return [];
      const axes = type.axes.map(({ name, size }) => ({ name, size: sizeFor(size, symbols) }));
      const count = axes.reduce((product, { size }) => product * size, 1);
      const data =
        type.dtype === "i32"
          ? Float64Array.from(starts)
          : Float64Array.from({ length: count }, () => Math.fround(4 * next() - 2));
      return [[attributes.name as string, { dtype: type.dtype, axes, data }] as const];
    }),
  );
  return { symbols, inputs, parameters: () => undefined };
}

const planOf = (graph: Graph): Plan =>
  orThrow(compile([{ name: "main", graph, passes: [] }], { name: graph.name })).plan;

function runInputs(values: ReturnType<typeof valuesFor>) {
  return Object.fromEntries(
    [...values.inputs].map(([name, { dtype, data }]) => [
      name,
      dtype === "i32" ? Int32Array.from(data) : Float32Array.from(data),
    ]),
  );
}

/** Tensor cores take weights, slopes and cotangents in bf16; the logarithms have seen none of these. */
function expectRounded(
  actual: ReadonlyMap<string, TensorArray>,
  expected: ReadonlyMap<string, TensorArray>,
): void {
  for (const [name, { data }] of expected) {
    const given = actual.get(name)!;
    if (name === "sums") assertClose(given, expected.get(name)!, { absolute: 2e-5, relative: 2e-5 }, name);
    const share = rootMeanSquareDifference([given.data], [data]) / rootMeanSquareDifference([data]);
    assert.ok(share < 4e-3, `${name} differs by ${share} of its size`);
  }
}

test("result and sum come from one kernel, the gradients from another", () => {
  const { kernels } = planOf(graphOf(cases.documents!));
  assert.equal(
    kernels.map(({ kind }) => kind),
    ["attentionForward", "attentionBackward"],
  );
});

for (const on of await devicesHere()) {
  for (const [name, one] of Object.entries(cases)) {
    if (one.long === true && on === "cuda-sim") continue;
    test(`${name}, on ${on}`, async () => {
      const graph = graphOf(one);
      const values = valuesFor(graph, one);
      const expected = interpret(graph, values);
      using device = await openDevice(on);
      using executable = await device.load(planOf(graph), {});
      const { outputs } = await executable.run("main", {
        symbols: { seq: one.length },
        inputs: runInputs(values),
      });
      const actual = new Map(
        [...expected].map(([key, value]) => [key, { ...value, data: Float64Array.from(outputs[key]!) }]),
      );
      if (one.dtype === "bf16" && on !== "cpu") expectRounded(actual, expected);
      else assertOutputsClose(actual, expected, { absolute: 2e-4, relative: 2e-4 });
    });
  }
}

test("the same bits for one, two and five threads, and on every run", async () => {
  for (const name of ["several blocks", "documents over several blocks"]) {
    const one = cases[name]!;
    const graph = graphOf(one);
    const values = valuesFor(graph, one);
    const results = new Set<string>();
    for (const threads of [1, 2, 5]) {
      using device = cpuDevice({ threads });
      using executable = await device.load(planOf(graph), {});
      for (let run = 0; run < 2; run++) {
        const { outputs } = await executable.run("main", {
          symbols: { seq: one.length },
          inputs: runInputs(values),
        });
        results.add(
          Object.values(outputs)
            .map((data) => Buffer.from(data.slice().buffer).toString("base64"))
            .join(),
        );
      }
    }
    assert.is(results.size, 1);
  }
});

test.run();
