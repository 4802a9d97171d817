/** Graphs as ONNX: random ones have the interpreter's values in onnxruntime, and what ONNX lacks is named. */
import { decompose, graphToOnnx, interpret, keepForOnnx, type OnnxGraph, runPasses } from "@weft/compiler";
import { assertOutputsClose } from "@weft/compiler/testing";
import {
  axis,
  elementCount,
  formatProblems,
  type Graph,
  GraphBuilder,
  orThrow,
  sizeFor,
  type TensorArray,
  verifyGraph,
} from "@weft/dsl";
import { float32ToBfloat16 } from "@weft/qwen3";
import { isLeft } from "fp-ts/lib/Either.js";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "../../support/fast-check.ts";
import { asInput, numbersOf, onnxBytes, openOnnx } from "../../support/onnx.ts";
import { randomGraph } from "../../support/random-graph.ts";
import { randomValues } from "../../support/random-values.ts";

const test = suite("graphs as ONNX");

const lowered = (graph: Graph): Graph =>
  orThrow(runPasses(graph, [decompose(keepForOnnx)], verifyGraph, false)).graph;

/** The bytes of a weight as it is stored. */
function bytesOf({ data, dtype }: TensorArray): Uint8Array {
  const wide = Float32Array.from(data);
  const stored = dtype === "bf16" ? float32ToBfloat16(wide) : dtype === "i32" ? Int32Array.from(data) : wide;
  return new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
}

const kinds = [
  "unary",
  "binary",
  "constant",
  "compare",
  "select",
  "index",
  "reduce",
  "dot",
  "gather",
  "move",
  "rmsNorm",
  "softmax",
  "silu",
  "linear",
  "rope",
  "attention",
  "pointwise",
  "stateAppend",
  "broadcast",
  "after",
  "mean",
] as const;

/** States begin as zeros, in the interpreter too. */
function pastsOf(
  graph: Graph,
  symbols: ReadonlyMap<string, number>,
): readonly (readonly [string, TensorArray])[] {
  return graph.nodes.flatMap((node) => {
    if (node.op !== "stateAppend") return [];
    const { state, into, past } = node.attributes as { state: string; into: string; past: string };
    const axes = node.type.axes.map(({ name, size }) => ({
      name,
      size: name === into ? symbols.get(past)! : sizeFor(size, symbols),
    }));
    return [[state, { dtype: node.type.dtype, axes, data: new Float64Array(elementCount(axes)) }] as const];
  });
}

async function runOnnx(
  onnx: OnnxGraph,
  inputs: ReadonlyMap<string, TensorArray>,
  weights: ReadonlyMap<string, TensorArray>,
) {
  const session = await openOnnx(onnxBytes(onnx, (name) => bytesOf(weights.get(name)!)));
  const given = onnx.inputs.map(({ name }) => [name, asInput(inputs.get(name)!)] as const);
  try {
    return await session.run(Object.fromEntries(given));
  } finally {
    await session.release();
  }
}

test("random graphs have the interpreter's values in onnxruntime", async () => {
  let ran = 0;
  await fc.assert(
    fc.asyncProperty(
      randomGraph({ kinds, maxInstructions: 10 }),
      fc.nat({ max: 1000 }),
      async (whole, seed) => {
        const graph = lowered(whole);
        // Values of symbols are read from shapes, so one must have them.
        const { symbols, inputs, weights } = randomValues(graph, seed);
        const exported = graphToOnnx(graph);
        if (isLeft(exported)) {
          assert.match(
            formatProblems(exported.left),
            /a symbol must be the size of an input's axis|what a cache gives|appended to once/,
          );
          return;
        }
        // The runtime's JavaScript side knows no bf16 tensors.
        fc.pre([...exported.right.inputs, ...exported.right.outputs].every(({ dtype }) => dtype !== "bf16"));
        const expected = interpret(graph, { inputs, parameters: (name) => weights.get(name), symbols });
        const given = new Map([...inputs, ...pastsOf(graph, symbols)]);
        const results = await runOnnx(exported.right, given, weights);
        const actual = new Map(
          [...expected].map(([name, array]) => [name, { ...array, data: numbersOf(results[name]!) }]),
        );
        assertOutputsClose(actual, expected, { absolute: 1e-4, relative: 1e-4 });
        ran++;
      },
    ),
    { numRuns: 100 },
  );
  assert.ok(ran > 60, `${ran} ran`);
});

test("a product over several axes and a batch, of bf16 and f32", async () => {
  const [b, m, n, k, l] = ["b", "m", "n", "k", "l"].map((name, at) => axis(name, at + 2)) as [
    ReturnType<typeof axis>,
    ReturnType<typeof axis>,
    ReturnType<typeof axis>,
    ReturnType<typeof axis>,
    ReturnType<typeof axis>,
  ];
  const rows = axis("rows", { symbol: "rows", max: 8 });
  const builder = new GraphBuilder();
  const x = builder.add("input", [], { name: "x", dtype: "f32", axes: [l, m, b, rows, k] });
  const weight = builder.add("parameter", [], { name: "weight", dtype: "bf16", axes: [k, n, l, b] });
  const y = builder.add("dot", [x, weight], { contract: ["k", "l"] });
  const z = builder.add("dot", [x, weight], { contract: ["l", "k", "b"] });
  const graph = builder.finish("products", [
    { name: "y", node: y },
    { name: "z", node: z },
  ]);
  const { inputs, weights, symbols } = randomValues(graph, 3);
  const expected = interpret(graph, { inputs, symbols, parameters: (name) => weights.get(name) });
  const results = await runOnnx(orThrow(graphToOnnx(graph)), inputs, weights);
  for (const [name, array] of expected) {
    assert.equal(
      [...results[name]!.dims],
      array.axes.map(({ size }) => size),
    );
    assertOutputsClose(
      new Map([[name, { ...array, data: numbersOf(results[name]!) }]]),
      new Map([[name, array]]),
      { absolute: 1e-5 },
    );
  }
});

test("ops, dtypes and symbols that ONNX cannot say are all named, with their blocks", () => {
  const builder = new GraphBuilder();
  builder.origin = { path: "model.head" };
  const vocab = axis("vocab", 64);
  const x = builder.add("input", [], { name: "x", dtype: "f32", axes: [vocab] });
  const top = builder.add("topK", [x], { axis: "vocab", into: "rank", count: 4 });
  builder.origin = { path: "model.norm" };
  const weight = builder.add("parameter", [], { name: "w", dtype: "f32", axes: [vocab] });
  const norm = builder.add("rmsNorm", [x, weight], { axis: "vocab", epsilon: 1e-6 });
  builder.origin = { path: "model.scale" };
  builder.declareSymbol({ name: "step", max: 9 });
  const step = builder.add("cast", [builder.add("symbol", [], { name: "step" })], { dtype: "i8" });
  const graph = builder.finish("refused", [
    { name: "y", node: top },
    { name: "n", node: norm },
    { name: "s", node: step },
  ]);
  const refused = graphToOnnx(graph);
  assert.ok(isLeft(refused));
  assert.is(
    formatProblems((refused as { left: Parameters<typeof formatProblems>[0] }).left),
    [
      "unsupported: [onnx] ONNX cannot say topK: ties are broken by index here, and ONNX leaves that open; given topK; at model.head; export a model without it",
      "unsupported: [onnx] ONNX cannot say rmsNorm: composites must be decomposed first; given rmsNorm; at model.norm; export a model without it",
      "unsupported: [onnx] a symbol must be the size of an input's axis or given; given step; at model.scale; export a model without it",
      "unsupported: [onnx] standard ONNX operators do not compute with this dtype; given i8; at model.scale; export a model without it",
    ].join("\n"),
  );
});

test.run();
