/** Graphs as JSON: exact round trips, and messages for files that are broken, old or wrong. */
import { axis, formatProblems, GraphBuilder, graphFromJson, graphsFromJson, graphToJson } from "@weft/dsl";
import { isLeft, isRight } from "fp-ts/lib/Either.js";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "../../support/fast-check.ts";
import { layeredGraph } from "../../support/layered-graph.ts";
import { randomGraph } from "../../support/random-graph.ts";

const test = suite("graph JSON");

function messageOf(source: string): string {
  const result = graphFromJson(source);
  return isLeft(result) ? formatProblems(result.left) : "";
}

test("one node per line", () => {
  const builder = new GraphBuilder();
  const node = builder.add("iota", [], { axis: axis("a", 3) });
  assert.is(
    graphToJson(builder.finish("g", [{ name: "y", node }])),
    `{
  "format": "weft-graph",
  "version": 1,
  "name": "g",
  "symbols": [],
  "states": [],
  "nodes": [
    {"id":0,"op":"iota","inputs":[],"attributes":{"axis":{"name":"a","size":3}},"type":{"dtype":"i32","axes":[{"name":"a","size":3}]},"origin":{"path":""}}
  ],
  "outputs": [
    {"name":"y","node":0}
  ]
}
`,
  );
});

test("fromJson(toJson(g)) = g", () => {
  fc.assert(
    fc.property(randomGraph({ oddNames: true }), (graph) => {
      const result = graphFromJson(graphToJson(graph));
      assert.ok(isRight(result));
      assert.equal((result as { right: unknown }).right, graph);
    }),
  );
});

test("graphs of several programs stand in an array, or one alone", () => {
  const texts = [2, 3].map((count) => graphToJson(layeredGraph(count)));
  const sizes = (source: string) => {
    const graphs = graphsFromJson(source);
    return isRight(graphs) ? graphs.right.map(({ nodes }) => nodes.length) : formatProblems(graphs.left);
  };
  const lengths = [2, 3].map((count) => layeredGraph(count).nodes.length);
  assert.equal(sizes(`[${texts.join(",")}]`), lengths);
  assert.equal(sizes(texts[0]!), [lengths[0]]);
  assert.match(String(sizes(`[${texts[0]}, 7]`)), "[graph json] the text must hold an object; given 7");
  assert.match(String(sizes("[")), "[graph json] the text must be JSON");
});

test("keeps infinities and negative zero", () => {
  const builder = new GraphBuilder();
  const x = builder.add("input", [], { name: "x", dtype: "f32", axes: [] });
  const values = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0];
  const outputs = values.map((value, index) => ({
    name: `y${index}`,
    node: builder.add("pointwise", [x], { name: "f", expression: { tag: "constant", value } }),
  }));
  const result = graphFromJson(graphToJson(builder.finish("g", outputs)));
  assert.ok(isRight(result));
  const again = isRight(result) ? result.right.nodes.slice(1) : [];
  again.forEach((node, index) => {
    assert.ok(Object.is((node.attributes.expression as { value: number }).value, values[index]));
  });
});

test("says what is wrong with a file", () => {
  assert.match(
    messageOf('{\n  "format": ,\n}'),
    /^\[graph json\] the text must be JSON; given Unexpected token/,
  );
  assert.is(messageOf("3"), "[graph json] the text must hold an object; given 3");
  assert.is(
    messageOf('{"format": "weft-graph", "version": 9}'),
    '[graph json] the file must say "format": "weft-graph" and "version": 1; given "weft-graph" and 9; write the graph again with this version of Weft',
  );
  const damaged = graphToJson(layeredGraph(2)).replace('"inputs":[0,1]', '"inputs":[0,99]');
  assert.match(messageOf(damaged), /\[rmsNorm\] reads %99, which must exist/);
});

test("any text at all is answered, never thrown", () => {
  const whole = graphToJson(layeredGraph(1));
  fc.assert(
    fc.property(
      fc.nat({ max: whole.length }),
      fc.nat({ max: 20 }),
      fc.string({ maxLength: 5 }),
      (at, cut, put) => {
        graphFromJson(whole.slice(0, at) + put + whole.slice(at + cut));
      },
    ),
    { numRuns: 300 },
  );
});

test.run();
