/** The text form: golden listings, parse(print(g)) = g, folding, and the messages of the parser. */
import { axis, foldGraph, formatProblems, type Graph, GraphBuilder, parseGraph, printGraph } from "@weft/dsl";
import { isLeft } from "fp-ts/lib/Either.js";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "../../support/fast-check.ts";
import { layeredGraph } from "../../support/layered-graph.ts";
import { randomGraph } from "../../support/random-graph.ts";

const test = suite("text form");

/** Every kind of line. */
function example(): Graph {
  const builder = new GraphBuilder();
  const seq = axis("seq", { symbol: "seq", max: 8 });
  const keys = axis("keys", { symbol: "keys", max: 16 });
  const hidden = axis("hidden", 4);
  builder.declareSymbol({ name: "seq", max: 8 });
  builder.declareSymbol({ name: "past", max: 16 });
  builder.declareSymbol({ name: "keys", max: 16, sum: ["past", "seq"] });
  builder.declareState({ name: "layers.0.k", type: { dtype: "bf16", axes: [keys, hidden] } });
  const x = builder.add("input", [], { name: "x", dtype: "f32", axes: [seq, hidden] });
  builder.origin = { path: "model.norm", source: "model.ts:2:3" };
  const weight = builder.add("parameter", [], { name: "norm weight", dtype: "bf16", axes: [hidden] });
  const norm = builder.add("rmsNorm", [x, weight], { axis: "hidden", epsilon: 1e-6 });
  builder.origin = { path: 'odd "path"', composite: "silu" };
  const minimum = builder.add("max", [norm, builder.constant(Number.NEGATIVE_INFINITY)], {});
  builder.origin = { path: "" };
  const all = builder.add("stateAppend", [minimum], {
    state: "layers.0.k",
    axis: "seq",
    into: "keys",
    past: "past",
    axes: [keys, hidden],
    dtype: "bf16",
  });
  return builder.finish("example", [
    { name: "y", node: minimum },
    { name: "all\n", node: all },
  ]);
}

const listing = `graph example (seq<=8, past<=16, keys<=16=past+seq) {
  state layers.0.k: bf16[keys=keys<=16, hidden=4]
  %0 = input() {name: "x"}: f32[seq=seq<=8, hidden=4]
  %1 = parameter() {name: "norm weight"}: bf16[hidden=4]  # model.norm model.ts:2:3
  %2 = rmsNorm(%0, %1) {axis: "hidden", epsilon: 0.000001}: f32[seq=seq<=8, hidden=4]  # model.norm model.ts:2:3
  %3 = constant() {value: "-inf", dtype: "f32"}: f32[]  # "odd \\"path\\"" (silu)
  %4 = max(%2, %3): f32[seq=seq<=8, hidden=4]  # "odd \\"path\\"" (silu)
  %5 = stateAppend(%4) {state: "layers.0.k", axis: "seq", into: "keys", past: "past"}: bf16[keys=keys<=16, hidden=4]
  return y = %4
  return "all\\n" = %5
}
`;

function parsed(text: string): Graph {
  const result = parseGraph(text);
  if (isLeft(result)) throw new Error(formatProblems(result.left));
  return result.right;
}

function messageOf(text: string): string {
  const result = parseGraph(text);
  assert.ok(isLeft(result), "must not parse");
  return formatProblems((result as { left: Parameters<typeof formatProblems>[0] }).left);
}

test("prints as it is meant to be read", () => {
  assert.is(printGraph(example()), listing);
});

test("parses back exactly, and by hand with comments and other spacing", () => {
  assert.equal(parsed(listing), example());
  assert.equal(parsed(`// by hand\n${listing.replaceAll("\n  ", "\n\t\t // a line\n")}`), example());
});

test("parse(print(g)) = g, names of every kind included", () => {
  fc.assert(
    fc.property(randomGraph({ oddNames: true }), (graph) => {
      assert.equal(parsed(printGraph(graph)), graph);
    }),
    { numRuns: 200 },
  );
});

test("numbers survive: tiny, negative zero, infinite", () => {
  const builder = new GraphBuilder();
  const x = builder.add("input", [], { name: "x", dtype: "f32", axes: [] });
  const nodes = [1e-7, -0, 0, 1e21, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY].map((value) =>
    builder.add("pointwise", [x], { name: "f", expression: { tag: "constant", value } }),
  );
  assert.is(new Set(nodes).size, 6);
  const graph = builder.finish(
    "numbers",
    nodes.map((node, index) => ({ name: `y${index}`, node })),
  );
  const again = parsed(printGraph(graph));
  assert.equal(again, graph);
  const values = again.nodes.slice(1).map((node) => (node.attributes.expression as { value: number }).value);
  assert.ok(Object.is(values[1], -0) && Object.is(values[2], 0));
});

test("says what it expected, where, with a caret", () => {
  assert.is(
    messageOf("graph g {\n  %0 = input( {name: 3}: f32[]\n}"),
    [
      '[graph text] expected a node such as %0; given "{"; at 2:15',
      "    %0 = input( {name: 3}: f32[]",
      "                ^",
    ].join("\n"),
  );
  assert.is(
    messageOf('graph g {\n  %0 = input() {name: "x}: f32[]\n}'),
    [
      '[graph text] expected a name, a number, a node or a sign; given "a quote that does not close"; at 2:23',
      '    %0 = input() {name: "x}: f32[]',
      "                        ^",
    ].join("\n"),
  );
  assert.match(messageOf(""), /expected "graph"; given "the end of the text"; at 1:1/);
  assert.match(
    messageOf("graph g {"),
    /expected a node such as %0, "state", "return" or "}"; given "the end of the text"; at 1:10/,
  );
  assert.match(
    messageOf("graph g { %0 = iota() {axis: seq}: i32[] }"),
    /a text stands in quotes; given "seq"; at 1:30/,
  );
  assert.match(messageOf("graph g { %0 = iota() {axis: a=1, axis: a=1}: i32[] }"), /expected every key once/);
  assert.match(messageOf("graph g { return y = 3 }"), /expected a node such as %0; given "3"/);
  assert.match(messageOf("graph g { } }"), /expected the end of the text; given "}"/);
  assert.match(messageOf("graph g { %0 = abs(%0): f32[] # a b c\n }"), /at most one source line/);
});

test("what parses is verified", () => {
  assert.is(
    messageOf("graph g { %0 = iota() {axis: a=3}: i32[a=4] }"),
    "[iota] the type must be i32[a=3]; given i32[a=4]; at %0",
  );
});

test("any text at all is answered, never thrown", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => isLeft(parseGraph(text)) || text.includes("graph")),
  );
  const damaged = fc.tuple(fc.nat({ max: listing.length }), fc.nat({ max: 12 }), fc.string({ maxLength: 6 }));
  fc.assert(
    fc.property(damaged, ([at, length, put]) => {
      const text = listing.slice(0, at) + put + listing.slice(at + length);
      const result = parseGraph(text);
      if (isLeft(result)) assert.ok(result.left.every((problem) => problem.kind === "user"));
    }),
    { numRuns: 500 },
  );
  assert.match(messageOf(`graph g { %0 = iota() {axis: ${"[".repeat(100_000)}`), /nested that deeply/);
});

test("folds repeated layers", () => {
  assert.is(
    printGraph(layeredGraph(4), { fold: true }),
    `graph layered (seq<=8) {
  %0 = input() {name: "x"}: f32[seq=seq<=8, hidden=4]
  %3 = constant() {value: 0.5, dtype: "f32"}: f32[]  # layers.0.mlp
  repeat "layers.*" from 0 to 3, x4 {
    %1 = parameter() {name: "layers.*.norm.weight"}: f32[hidden=4]  # layers.*.norm
    %2 = rmsNorm(%0 then %5, %1) {axis: "hidden", epsilon: 0.000001}: f32[seq=seq<=8, hidden=4]  # layers.*.norm
    %4 = mul(%2, %3): f32[seq=seq<=8, hidden=4]  # layers.*.mlp
    %5 = add(%0 then %5, %4): f32[seq=seq<=8, hidden=4]  # layers.*
  }
  %18 = tanh(%5@3): f32[seq=seq<=8, hidden=4]  # head
  return y = %18
  return middle = %5@1
}
`,
  );
});

test("does not fold what differs", () => {
  assert.not.match(printGraph(layeredGraph(1), { fold: true }), /repeat/);
  const graph = layeredGraph(4);
  // The third layer's epsilon is another one: only the first two are alike.
  const nodes = graph.nodes.map((node) =>
    node.origin.path === "layers.2.norm" && node.op === "rmsNorm"
      ? { ...node, attributes: { ...node.attributes, epsilon: 1e-5 } }
      : node,
  );
  const text = printGraph({ ...graph, nodes }, { fold: true });
  assert.match(text, /repeat "layers\.\*" from 0 to 1, x2/);
  assert.match(text, /# layers\.3\.norm/);
});

test("folding loses no node, and folded text is refused by name", () => {
  fc.assert(
    fc.property(randomGraph(), (graph) => {
      const ids = foldGraph(graph).flatMap((item) =>
        item.tag === "node" ? [item.node.id] : item.ranges.flat().map((node) => node.id),
      );
      assert.equal(
        ids.toSorted((a, b) => a - b),
        graph.nodes.map((node) => node.id),
      );
    }),
  );
  assert.match(
    messageOf(printGraph(layeredGraph(2), { fold: true })),
    /expected a text without folded layers/,
  );
});

test.run();
