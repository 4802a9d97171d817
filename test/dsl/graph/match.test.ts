/** Which node of a graph is which of another one. */
import { GraphBuilder, matchGraphs, printOperation } from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "../../support/fast-check.ts";
import { randomGraph } from "../../support/random-graph.ts";

const test = suite("matching nodes");
const hidden = { name: "hidden", size: 4 };

test("a graph is matched with itself, node by node", () => {
  fc.assert(
    fc.property(randomGraph(), (graph) => {
      matchGraphs(graph, structuredClone(graph)).forEach(({ before, state }) => {
        assert.is(state, "same");
        assert.ok(before >= 0);
      });
    }),
    { numRuns: 50 },
  );
});

test("a node that comes in between is added; what reads it has changed, and numbers do not count", () => {
  const make = (isNegated: boolean) => {
    const builder = new GraphBuilder();
    let x = builder.add("input", [], { name: "x", dtype: "f32", axes: [hidden] });
    builder.origin = { path: "act" };
    if (isNegated) x = builder.add("neg", [x], {});
    return builder.finish("made", [
      { name: "y", node: builder.add("exp", [builder.add("tanh", [x], {})], {}) },
    ]);
  };
  assert.equal(matchGraphs(make(false), make(true)), [
    { before: 0, state: "same" },
    { before: -1, state: "added" },
    { before: 1, state: "changed" },
    { before: 2, state: "same" },
  ]);
});

test("another type or other attributes at the same place: the node has changed", () => {
  const make = (size: number, axis: string) => {
    const builder = new GraphBuilder();
    const axes = [{ name: "rows", size }, hidden];
    const x = builder.add("input", [], { name: "x", dtype: "f32", axes });
    return builder.finish("made", [{ name: "y", node: builder.add("reduceSum", [x], { axis }) }]);
  };
  const states = (after: ReturnType<typeof make>) =>
    matchGraphs(make(2, "rows"), after).map(({ state }) => state);
  assert.equal(states(make(2, "hidden")), ["same", "changed"]);
  assert.equal(states(make(3, "rows")), ["changed", "same"]);
});

test("constants that JSON has no words for are told apart; the order of attributes says nothing", () => {
  const make = (value: number) => {
    const builder = new GraphBuilder();
    return builder.finish("made", [
      { name: "y", node: builder.add("constant", [], { value, dtype: "f32" }) },
    ]);
  };
  const state = (before: number, after: number) => matchGraphs(make(before), make(after))[0]!.state;
  const numbers = [0, -0, 1, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const [at, one] of numbers.entries())
    for (const [place, other] of numbers.entries())
      assert.is(state(one, other), at === place ? "same" : "changed", `${one} and ${other}`);
  const graph = make(2);
  const [node] = graph.nodes;
  const turned = { ...node!, attributes: { dtype: "f32", value: 2 } };
  assert.is(matchGraphs(graph, { ...graph, nodes: [turned] })[0]!.state, "same");
});

test("an operation is printed without its number and its place", () => {
  const builder = new GraphBuilder();
  const x = builder.add("input", [], { name: "x", dtype: "f32", axes: [hidden] });
  builder.origin = { path: "norm", source: "model.ts:1:1" };
  const sum = builder.add("reduceSum", [x], { axis: "hidden" });
  assert.is(
    printOperation(builder.node(sum), (id) => `<${id}>`),
    'reduceSum(<0>) {axis: "hidden"}: f32[]',
  );
});

test.run();
