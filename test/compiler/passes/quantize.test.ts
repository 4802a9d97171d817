/** Weights in NVFP4 as a pass: which kernels come of it, and what they compute beside the interpreter. */

import {
  type ActivationFormat,
  compile,
  grad,
  gradientOutput,
  interpret,
  precision,
  quantize,
  scalesBehind,
  tensorScaleName,
} from "@weft/compiler";
import { randomNumbers } from "@weft/compiler/testing";
import {
  axis,
  decodeNvfp4,
  encodeNvfp4,
  type Graph,
  GraphBuilder,
  nvfp4EncodeScale,
  orThrow,
  type TensorArray,
} from "@weft/dsl";
import type { Weight } from "@weft/runtime";
import { cpuDevice } from "@weft/runtime-cpu";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("quantize");

const [rows, heads, width, most] = [40, 2, 32, 20];
const depth = heads * width;
const seq = axis("seq", { symbol: "seq", max: most });

/** y = x W^T, contracted over two axes, as the output of an attention is. */
function product(): Graph {
  const builder = new GraphBuilder();
  const add = builder.add.bind(builder);
  builder.declareSymbol({ name: "seq", max: most });
  const x = add("input", [], {
    name: "x",
    dtype: "f32",
    axes: [seq, axis("head", heads), axis("part", width)],
  });
  const axes = [axis("row", rows), axis("head", heads), axis("part", width)];
  const weight = add("parameter", [], { name: "w", dtype: "f32", axes });
  return builder.finish("product", [
    { name: "y", node: add("linear", [x, weight], { from: ["head", "part"], to: ["row"] }) },
  ]);
}

const compiledWith = (hasTensorScale: boolean, activations: ActivationFormat) =>
  orThrow(
    compile(
      [
        {
          name: "main",
          graph: product(),
          passes: [
            quantize({ weights: (name) => (name === "w" ? { hasTensorScale, activations } : undefined) }),
            precision({ policy: "f32", storage: () => "f32" }),
          ],
        },
      ],
      { name: "product" },
    ),
  );

const next = randomNumbers(7);
const weight = Float32Array.from({ length: rows * depth }, () => next() - 0.5);
const encodeScale = nvfp4EncodeScale(weight.reduce((most, value) => Math.max(most, Math.abs(value)), 0));
const blocks = encodeNvfp4(weight, { encodeScale });
const decoded = decodeNvfp4(blocks);
const scale = Math.fround(1 / encodeScale);
const input = Float32Array.from({ length: most * depth }, () => 2 * next() - 1);

const sources: Readonly<Record<string, Weight>> = {
  w: { kind: "data", data: blocks.codes, scales: blocks.scales, dtype: "nvfp4", shape: [rows, depth] },
  [tensorScaleName("w")]: { kind: "data", data: Float32Array.of(scale), dtype: "f32", shape: [] },
};

test("a product in NVFP4 is one kernel, and gives each row the same bits beside however many others", async () => {
  const { plan } = compiledWith(true, "none");
  assert.equal(
    plan.kernels.map(({ kind }) => kind),
    ["matmul"],
  );
  using device = cpuDevice({ threads: 2 });
  using executable = await device.load(plan, sources);
  const run = async (first: number, count: number) => {
    const x = input.slice(first * depth, (first + count) * depth);
    const { outputs } = await executable.run("main", { symbols: { seq: count }, inputs: { x } });
    return outputs.y as Float32Array;
  };
  const all = await run(0, most);
  for (const count of [1, 2, 8, 9, 17])
    assert.equal(await run(3, count), all.slice(3 * rows, (3 + count) * rows));
  for (let row = 0; row < most; row++)
    for (let column = 0; column < rows; column++) {
      let sum = 0;
      for (let k = 0; k < depth; k++) sum += input[row * depth + k]! * decoded[column * depth + k]! * scale;
      assert.ok(Math.abs(all[row * rows + column]! - sum) < 1e-5, `row ${row}, column ${column}`);
    }
});

test("both sides in NVFP4 are what the interpreter makes of the same graph", async () => {
  const compiled = compiledWith(false, "nvfp4");
  const source = compiled.compiled[0]!;
  using device = cpuDevice({ threads: 1 });
  using executable = await device.load(compiled.plan, { w: sources.w! });
  const { outputs } = await executable.run("main", { symbols: { seq: most }, inputs: { x: input } });
  const values: Readonly<Record<string, TensorArray>> = {
    x: {
      dtype: "f32",
      axes: [
        { name: "seq", size: most },
        { name: "head", size: heads },
        { name: "part", size: width },
      ],
      data: Float64Array.from(input),
    },
    w: {
      dtype: "nvfp4",
      axes: [
        { name: "row", size: rows },
        { name: "head_part", size: depth },
      ],
      data: Float64Array.from(decoded),
    },
  };
  const expected = interpret(source.fused.graph, {
    symbols: { seq: most },
    inputs: { x: values.x! },
    parameters: (name) => values[name],
  });
  const reference = expected.get("y")!.data;
  let worst = 0;
  for (const [index, value] of (outputs.y as Float32Array).entries())
    worst = Math.max(worst, Math.abs(value - reference[index]!) / (1 + Math.abs(reference[index]!)));
  assert.ok(worst < 1e-5, `off by ${worst}`);
});

test("quantised values go into kernels, between them and out of them, fused and op by op", async () => {
  const builder = new GraphBuilder();
  const add = builder.add.bind(builder);
  builder.declareSymbol({ name: "seq", max: most });
  const x = add("input", [], { name: "x", dtype: "f32", axes: [seq, axis("head", 4), axis("k", 16)] });
  const options = { fourOverSix: true, nonZero: false };
  const quantized = add("quantizeNvfp4", [add("neg", [x], {}), builder.constant(3)], options);
  const y = add("cast", [quantized], { dtype: "f32" });
  const graph = builder.finish("quantised", [
    { name: "y", node: y },
    { name: "z", node: add("add", [y, y], {}) },
  ]);
  const values = input.slice(0, 7 * 64);
  const expected = decodeNvfp4(
    encodeNvfp4(
      values.map((value) => -value),
      { encodeScale: 3, fourOverSix: true },
    ),
  );
  using device = cpuDevice({ threads: 2 });
  for (const fusion of [true, false]) {
    const { plan } = orThrow(compile([{ name: "main", graph, passes: [] }], { name: "quantised", fusion }));
    using executable = await device.load(plan, {});
    const { outputs } = await executable.run("main", { symbols: { seq: 7 }, inputs: { x: values } });
    assert.equal(outputs.y, expected, `fusion: ${fusion}`);
    assert.equal(
      outputs.z,
      expected.map((value) => 2 * value),
      `fusion: ${fusion}`,
    );
  }
});

test("the gradient passes the rounding, and the scale meets its inverse: it is the plain product", () => {
  const graph = product();
  const builder = new GraphBuilder();
  builder.declareSymbol({ name: "seq", max: most });
  const copies: number[] = [];
  for (const node of graph.nodes)
    copies.push(
      builder.add(
        node.op,
        node.inputs.map((id) => copies[id]!),
        node.attributes as never,
      ),
    );
  const y = copies.at(-1)!;
  const sum = ["seq", "row"].reduce(
    (value, name) => builder.add("reduceSum", [value], { axis: name }),
    builder.add("mul", [y, y], {}),
  );
  const loss = builder.finish("loss", [{ name: "loss", node: sum }]);
  const passes = [
    quantize({ weights: (name) => (name === "w" ? { fourOverSix: false } : undefined) }),
    grad({ loss: "loss", parameters: ["w"] }),
    scalesBehind(["w"]),
  ];
  const rewritten = passes.reduce((one, pass) => pass.run(one, { fired() {}, refused() {} } as never), loss);
  const gradient = rewritten.outputs.find(({ name }) => name === gradientOutput("w"))!;
  // No scale between the product and the output: nothing but views.
  let node = rewritten.nodes[gradient.node]!;
  while (node.op === "mergeAxes" || node.op === "rename") node = rewritten.nodes[node.inputs[0]!]!;
  assert.is(node.op, "dot");
  assert.equal(
    node.inputs.map((id) => rewritten.nodes[id]!.op).includes("quantizeNvfp4"),
    false,
    "the weight's gradient does not read the weight",
  );
});

test("what cannot be read in blocks is refused with its place", () => {
  const builder = new GraphBuilder();
  const add = builder.add.bind(builder);
  const x = add("input", [], { name: "x", dtype: "f32", axes: [axis("k", 24)] });
  const weightOf = (size: number) =>
    add("parameter", [], { name: "w", dtype: "f32", axes: [axis("n", 8), axis("k", size)] });
  const graph = builder.finish("odd", [
    { name: "y", node: add("linear", [x, weightOf(24)], { from: ["k"], to: ["n"] }) },
  ]);
  const refused = (given: Graph) => {
    const passes = [quantize({ weights: () => ({ hasTensorScale: false, activations: "none" }) })];
    const result = compile([{ name: "main", graph: given, passes }], { name: "odd" });
    assert.is(result._tag, "Left");
    return result._tag === "Left"
      ? result.left.map(({ requirement, given: what }) => `${requirement}; ${what}`).join()
      : "";
  };
  assert.match(refused(graph), /rows of 24 elements, which is no multiple of 16/);
  const other = new GraphBuilder();
  const vector = other.add("parameter", [], { name: "w", dtype: "f32", axes: [axis("k", 32)] });
  const added = other.add("add", [vector, vector], {});
  assert.match(refused(other.finish("vector", [{ name: "y", node: added }])), /add cannot read it/);
});

test.run();
