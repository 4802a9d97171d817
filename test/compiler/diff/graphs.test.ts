// The difference of two graphs: nodes by block, what goes in and comes out, and texts in which layers are folded.
import { differenceOfGraphs, differenceOfGraphTexts, printGraphDifference } from "@weft/compiler";
import { type Graph, GraphBuilder, orThrow, printGraph } from "@weft/dsl";
import { compileQwen3, type Qwen3CompileOptions } from "@weft/qwen3";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "../../support/fast-check.ts";
import { threeLayers } from "../../support/qwen3-config.ts";
import { randomGraph } from "../../support/random-graph.ts";

const test = suite("difference of graphs");
const axes = [{ name: "hidden", size: 4 }];

/** `layers` times a norm and a `tanh`, behind the ops that are given. */
function graphOf(layers: number, before: readonly ("neg" | "exp")[] = [], epsilon = 1): Graph {
  const builder = new GraphBuilder();
  let value = builder.add("input", [], { name: "x", dtype: "f32", axes });
  const weight = builder.add("parameter", [], { name: "w", dtype: "f32", axes });
  builder.origin = { path: "front" };
  for (const op of before) value = builder.add(op, [value], {});
  for (let layer = 0; layer < layers; layer++) {
    builder.origin = { path: `layers.${layer}.act` };
    value = builder.add("tanh", [builder.add("rmsNorm", [value, weight], { axis: "hidden", epsilon })], {});
  }
  return builder.finish("made", [{ name: "y", node: value }]);
}

const linesOf = (before: Graph, after: Graph) =>
  printGraphDifference(differenceOfGraphs(before, after)).split("\n");

test("a graph and itself: no difference", () => {
  assert.equal(linesOf(graphOf(3), graphOf(3)), ["no difference"]);
});

test("a node that comes in between, and the one that reads it", () => {
  assert.equal(linesOf(graphOf(1), graphOf(1, ["neg"])), [
    "  nodes: 4 -> 5 (+25.0 %); 1 changed, 0 gone, 1 added",
    "  layers.0.act",
    '      - rmsNorm(x, w) {axis: "hidden", epsilon: 1}: f32[hidden=4]',
    '      + rmsNorm(neg, w) {axis: "hidden", epsilon: 1}: f32[hidden=4]',
    "  front",
    "      + neg(x): f32[hidden=4]",
  ]);
});

test("a node with other attributes is changed; equal layers are one change", () => {
  const difference = differenceOfGraphs(graphOf(36), graphOf(36, [], 3));
  // What reads a changed node reads the same node.
  assert.equal([difference.changed, difference.gone, difference.added], [36, 0, 0]);
  assert.equal(printGraphDifference(difference).split("\n").slice(1), [
    "  layers.0.act",
    '      - rmsNorm(x, w) {axis: "hidden", epsilon: 1}: f32[hidden=4]',
    '      + rmsNorm(x, w) {axis: "hidden", epsilon: 3}: f32[hidden=4]',
    "  x35 layers.{1..35}.act",
    '      - rmsNorm(tanh, w) {axis: "hidden", epsilon: 1}: f32[hidden=4]',
    '      + rmsNorm(tanh, w) {axis: "hidden", epsilon: 3}: f32[hidden=4]',
  ]);
});

test("another op at the same place is one gone and one added", () => {
  const { gone, added, changed } = differenceOfGraphs(graphOf(1, ["neg"]), graphOf(1, ["exp"]));
  assert.equal([gone, added, changed], [1, 1, 1]);
});

test("inputs, parameters, states, symbols and outputs by name", () => {
  const make = (name: string, size: number, parameter: string) => {
    const builder = new GraphBuilder();
    const seq = { name: "seq", size: { symbol: "seq", max: size } };
    const x = builder.add("input", [], { name, dtype: "f32", axes: [seq, ...axes] });
    const w = builder.add("parameter", [], { name: parameter, dtype: "f32", axes });
    return builder.finish("made", [{ name: "y", node: builder.add("mul", [x, w], {}) }]);
  };
  const { ports } = differenceOfGraphs(make("x", 8, "w"), make("tokens", 16, "v"));
  assert.equal(
    ports.map(({ kind, name, before, after }) => [kind, name, before ?? "", after ?? ""]),
    [
      ["symbol", "seq", "at most 8", "at most 16"],
      ["input", "x", "f32[seq=seq<=8, hidden=4]", ""],
      ["input", "tokens", "", "f32[seq=seq<=16, hidden=4]"],
      ["parameter", "w", "f32[hidden=4]", ""],
      ["parameter", "v", "", "f32[hidden=4]"],
      ["output", "y", "f32[seq=seq<=8, hidden=4]", "f32[seq=seq<=16, hidden=4]"],
    ],
  );
});

test("a pass: what decompose made of the composites of each layer", () => {
  const options: Qwen3CompileOptions = {
    capacity: 64,
    chunk: 32,
    policy: "f32",
    storage: () => "f32",
    logits: "last",
  };
  const { records } = orThrow(compileQwen3(threeLayers, options)).compiled.find(
    ({ name }) => name === "decode",
  )!;
  const { before, after } = records.find(({ pass }) => pass === "decompose")!;
  const difference = differenceOfGraphs(before, after);
  const down = difference.blocks.find(({ path }) => path === "model.layers.*.mlp.down_proj")!;
  assert.equal([down.times, down.layers, down.gone, down.added], [3, [0, 1, 2], 1, 1]);
  assert.equal(
    down.lines.map(({ sign, line }) => sign + line.slice(0, line.indexOf("("))),
    ["-linear", "+dot"],
  );
});

test("texts with folded layers are compared line by line", () => {
  const fold = (graph: Graph) => printGraph(graph, { fold: true });
  const [before, after] = [fold(graphOf(36)), fold(graphOf(36, [], 3))];
  assert.match(before, "x36 {");
  const difference = differenceOfGraphTexts(before, after);
  assert.equal(difference.name, { before: "made", after: "made" });
  assert.equal(
    difference.blocks.flatMap(({ lines }) =>
      lines.map(({ sign, line }) => sign + line.replace(/^%\d+ = /, "")),
    ),
    [
      '-rmsNorm(%0 then %3, %1) {axis: "hidden", epsilon: 1}: f32[hidden=4]  # layers.*.act',
      '+rmsNorm(%0 then %3, %1) {axis: "hidden", epsilon: 3}: f32[hidden=4]  # layers.*.act',
    ],
  );
  assert.ok(differenceOfGraphTexts(before, before).same);
});

test("every node of random graphs is accounted for", () => {
  fc.assert(
    fc.property(randomGraph(), randomGraph({ oddNames: true }), (left, right) => {
      assert.ok(differenceOfGraphs(left, structuredClone(left)).same);
      const { nodes, gone, added } = differenceOfGraphs(left, right);
      const own = ({ nodes: all }: Graph) =>
        all.filter(({ op }) => op !== "input" && op !== "parameter").length;
      assert.equal(nodes, { before: left.nodes.length, after: right.nodes.length });
      assert.is(own(left) - gone, own(right) - added);
    }),
    { numRuns: 100 },
  );
});

test.run();
