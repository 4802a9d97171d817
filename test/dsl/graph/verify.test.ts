/** The rules of the graph IR: what is accepted, the sentence of each refusal, and that nothing throws. */

import { interpret } from "@weft/compiler";
import { axis, formatProblems, type Graph, GraphBuilder, type GraphNode, verifyGraph } from "@weft/dsl";
import { isLeft, isRight } from "fp-ts/lib/Either.js";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "../../support/fast-check.ts";
import { mutate, mutations } from "../../support/mutate.ts";
import { randomGraph } from "../../support/random-graph.ts";
import { randomValues } from "../../support/random-values.ts";

const test = suite("verifyGraph");

const hidden = axis("hidden", 4);
const seq = axis("seq", { symbol: "seq", max: 8 });

/** %0 x, %1 weight, %2 rmsNorm, %3 its square. */
function example(): Graph {
  const builder = new GraphBuilder();
  const x = builder.add("input", [], { name: "x", dtype: "f32", axes: [seq, hidden] });
  builder.origin = { path: "model.norm", source: "model.ts:2:3" };
  const weight = builder.add("parameter", [], { name: "norm.weight", dtype: "f32", axes: [hidden] });
  const y = builder.add("rmsNorm", [x, weight], { axis: "hidden", epsilon: 1e-6 });
  return builder.finish("example", [{ name: "y", node: builder.add("mul", [y, y], {}) }]);
}

function messages(graph: unknown): string[] {
  const result = verifyGraph(graph);
  return isRight(result) ? [] : formatProblems(result.left).split("\n");
}

/** The example with one node changed. */
function withNode(id: number, change: Readonly<Record<string, unknown>>): unknown {
  const graph = example();
  return { ...graph, nodes: graph.nodes.map((node) => (node.id === id ? { ...node, ...change } : node)) };
}

test("accepts what a builder makes, and gives back the same object", () => {
  const graph = example();
  const result = verifyGraph(graph);
  assert.ok(isRight(result) && result.right === graph);
});

test("accepts every random graph", () => {
  fc.assert(
    fc.property(randomGraph({ oddNames: true }), (graph) => {
      assert.equal(messages(graph), []);
    }),
  );
});

test("nodes: ids, inputs and cycles", () => {
  assert.equal(messages(withNode(2, { id: 7 })), [
    "[rmsNorm] a node's id must be its index, 2, not 7; at model.norm %2 (model.ts:2:3)",
  ]);
  assert.equal(messages(withNode(3, { inputs: [2, 9] })), [
    "[mul] reads %9, which must exist; there are 4 nodes; at model.norm %3 (model.ts:2:3)",
  ]);
  assert.equal(messages(withNode(0, { inputs: [1] })), [
    "[input] reads %1, which must stand before it; at %0",
  ]);
  assert.equal(messages(withNode(2, { inputs: [3, 1] })), [
    "[rmsNorm] must not depend on itself: %2 reads %3 reads %2; at model.norm %2 (model.ts:2:3)",
  ]);
  assert.equal(messages(withNode(2, { inputs: [2, 1] })), [
    "[rmsNorm] must not depend on itself: %2 reads %2; at model.norm %2 (model.ts:2:3)",
  ]);
  assert.equal(messages(withNode(2, { inputs: "0, 1" })), [
    '[rmsNorm] the inputs must be a list, not "0, 1"; at model.norm %2 (model.ts:2:3)',
  ]);
});

test("ops and attributes", () => {
  assert.equal(messages(withNode(2, { op: "rmsnorm" })), [
    '[graph] the op must be in the op table; given "rmsnorm"; at model.norm %2 (model.ts:2:3); did you mean "rmsNorm"?',
  ]);
  assert.equal(messages(withNode(2, { op: "constructor" })), [
    '[graph] the op must be in the op table; given "constructor"; at model.norm %2 (model.ts:2:3)',
  ]);
  assert.equal(messages(withNode(2, { attributes: { axis: "hidden" } })), [
    '[rmsNorm] the attributes must have "epsilon"; at model.norm %2 (model.ts:2:3)',
  ]);
  assert.equal(messages(withNode(2, { attributes: { axis: "hidden", epsilon: "small" } })), [
    '[rmsNorm] the attributes.epsilon must be a number, not "small"; at model.norm %2 (model.ts:2:3)',
  ]);
  assert.equal(messages(withNode(3, { attributes: { axis: "hidden" } })), [
    '[mul] the attributes must not have "axis"; at model.norm %3 (model.ts:2:3)',
  ]);
});

test("types: the op's rule, and the rule's own sentence", () => {
  assert.equal(messages(withNode(3, { type: { dtype: "f32", axes: [hidden] } })), [
    "[mul] the type must be f32[seq=seq<=8, hidden=4]; given f32[hidden=4]; at model.norm %3 (model.ts:2:3)",
  ]);
  assert.equal(messages(withNode(2, { attributes: { axis: "hiden", epsilon: 1e-6 } })), [
    '[rmsNorm] needs an axis "hiden" in f32[seq=seq<=8, hidden=4]; given f32[seq=seq<=8, hidden=4], f32[hidden=4]; at model.norm %2 (model.ts:2:3)',
  ]);
  assert.equal(messages(withNode(3, { type: { dtype: "f64", axes: [] } })), [
    '[mul] the type.dtype must be one of f32, bf16, f16, f8e4m3, nvfp4, i32, i8, bool, not "f64"; at model.norm %3 (model.ts:2:3)',
  ]);
});

test("symbols agree with the axes", () => {
  const graph = example();
  assert.equal(messages({ ...graph, symbols: [{ name: "sequence", max: 8 }] }).slice(0, 1), [
    '[input] the symbol of axis "seq" must be declared; given "seq"; at %0',
  ]);
  assert.equal(messages({ ...graph, symbols: [{ name: "seq", max: 9 }] }).slice(0, 1), [
    '[input] axis "seq" must have the bound of its symbol "seq", 9; given 8; at %0',
  ]);
  const symbols = [
    { name: "seq", max: 8 },
    { name: "a", max: 8, sum: ["b"] },
    { name: "b", max: 8, sum: ["a", "c"] },
    { name: "b", max: 8 },
  ];
  assert.equal(messages({ ...graph, symbols }), [
    '[graph] symbols must not declare "b" twice',
    '[graph] the symbol "a" must not be a part of its own sum',
    '[graph] the symbol must be declared; given "c"',
    '[graph] the symbol "b" must not be a part of its own sum',
  ]);
});

test("outputs exist and have names of their own", () => {
  const outputs = [
    { name: "y", node: 3 },
    { name: "y", node: 2 },
    { name: "z", node: 4 },
  ];
  assert.equal(messages({ ...example(), outputs }), [
    '[graph] outputs must not declare "y" twice',
    '[graph] the output "z" is %4, which must exist; there are 4 nodes',
  ]);
});

test("one name of a parameter has one type", () => {
  const graph = example();
  const other: GraphNode = {
    ...graph.nodes[1]!,
    id: 4,
    attributes: { name: "norm.weight", dtype: "bf16", axes: graph.nodes[1]!.attributes.axes! },
    type: { dtype: "bf16", axes: [hidden] },
  };
  assert.equal(messages({ ...graph, nodes: [...graph.nodes, other] }), [
    '[parameter] "norm.weight" must have one type, f32[hidden=4] at %1; given bf16[hidden=4]; at model.norm %4 (model.ts:2:3)',
  ]);
});

function cacheGraph(capacity: number, dtype: "f32" | "bf16" = "bf16", state = "cache"): Graph {
  const builder = new GraphBuilder();
  const keys = axis("keys", { symbol: "keys", max: 8 });
  builder.declareSymbol({ name: "past", max: 8 });
  builder.declareSymbol({ name: "keys", max: 8, sum: ["past", "seq"] });
  builder.declareState({ name: "cache", type: { dtype: "bf16", axes: [axis("keys", capacity), hidden] } });
  const x = builder.add("input", [], { name: "x", dtype: "f32", axes: [seq, hidden] });
  const valid = { axes: [keys, hidden], dtype };
  const all = builder.add("stateAppend", [x], { state, axis: "seq", into: "keys", past: "past", ...valid });
  return builder.finish("cached", [{ name: "all", node: all }]);
}

test("state ops agree with the declared states", () => {
  assert.equal(messages(cacheGraph(8)), []);
  assert.equal(messages(cacheGraph(16)), []);
  assert.equal(messages(cacheGraph(4)), [
    '[stateAppend] "keys" must not grow beyond the state\'s 4; given 8; at %1',
  ]);
  assert.equal(messages(cacheGraph(8, "f32")), [
    '[stateAppend] the state "cache" has the type bf16[keys=8, hidden=4]; given f32[keys=keys<=8, hidden=4]; at %1',
  ]);
  assert.equal(messages(cacheGraph(8, "bf16", "cach")), [
    '[stateAppend] the state must be declared; given "cach"; at %1; did you mean "cache"?',
  ]);
});

test("independent problems are reported together", () => {
  const graph = example();
  const nodes = graph.nodes.map((node) =>
    node.id === 1 ? { ...node, origin: undefined } : node.id === 3 ? { ...node, op: "mull" } : node,
  );
  assert.equal(messages({ ...graph, name: 3, nodes, outputs: {} }), [
    "[graph] the graph's name must be a string, not 3",
    "[parameter] the origin must be an object, not undefined; at %1",
    '[graph] the op must be in the op table; given "mull"; at model.norm %3 (model.ts:2:3); did you mean "mul"?',
    "[graph] the graph's outputs must be a list, not {}",
  ]);
});

test("anything at all is answered, never thrown", () => {
  const deep: unknown[] = [];
  let inner = deep;
  for (let depth = 0; depth < 100_000; depth++) {
    const next: unknown[] = [];
    inner.push(next);
    inner = next;
  }
  for (const value of [
    undefined,
    null,
    3,
    "graph",
    [],
    {},
    { nodes: null },
    { nodes: [null, {}, 3] },
    deep,
  ]) {
    assert.ok(messages(value).length > 0);
  }
  fc.assert(
    fc.property(fc.anything(), (value) => {
      assert.ok(messages(value).length > 0);
    }),
  );
});

test("lists with holes are no lists of nodes, symbols or outputs", () => {
  const graph = example();
  const holed = <A>(items: readonly A[]) => {
    const list: A[] = [...items];
    delete list[0];
    return list;
  };
  assert.match(
    messages({ ...graph, nodes: holed(graph.nodes) })[0]!,
    "node 0 must be an object, not undefined",
  );
  assert.match(messages({ ...graph, symbols: holed(graph.symbols) })[0]!, "symbols[0] must be an object");
  assert.match(messages({ ...graph, outputs: holed(graph.outputs) })[0]!, "outputs[0] must be an object");
});

/** So many nodes, each of which reads another one. */
function linked(count: number, inputOf: (id: number) => number): unknown {
  const type = { dtype: "f32", axes: [] };
  const nodes = Array.from({ length: count }, (_, id) => ({
    ...{ id, op: "tanh", inputs: [inputOf(id)], attributes: {}, type },
    origin: { path: "" },
  }));
  return { name: "linked", symbols: [], states: [], nodes, outputs: [] };
}

test("a long cycle is named by its beginning, and graphs that stand backward take no square of time", () => {
  const ring = messages(linked(50_000, (id) => (id + 1) % 50_000));
  assert.is(
    ring[0],
    "[tanh] must not depend on itself: %0 reads %1 reads %2 reads %3 reads %4 reads %5 reads %6 reads %7 reads ... (49992 more) reads %0; at %0",
  );
  const backward = messages(linked(50_000, (id) => id + 1));
  assert.is(backward[0], "[tanh] reads %1, which must stand before it; at %0");
  const all = verifyGraph(linked(2000, (id) => id + 1));
  assert.ok(isLeft(all) && /\n\.\.\. and 1500 more problems$/.test(formatProblems(all.left)));
});

test("a damaged graph is refused, or still runs", () => {
  let refused = 0;
  fc.assert(
    fc.property(randomGraph({ maxInstructions: 6 }), mutations, fc.nat(), (graph, list, seed) => {
      const damaged = mutate(graph, list);
      const result = verifyGraph(damaged);
      if (isRight(result)) {
        // Names and numbers may have changed into others that fit; values may no longer be small.
        if (volume(result.right) > 20_000) return;
        try {
          interpret(result.right, randomValues(result.right, seed));
        } catch (error) {
          // An index may now be out of range.
          assert.match((error as Error).message, /an index must be at least 0/);
        }
      } else {
        refused++;
        assert.ok(
          result.left.every((problem) => problem.kind === "user"),
          formatProblems(result.left),
        );
      }
    }),
    { numRuns: 400 },
  );
  assert.ok(refused > 50);
});

function volume(graph: Graph): number {
  return Math.max(
    0,
    ...graph.nodes.map((node) =>
      node.type.axes.reduce(
        (count, one) => count * (typeof one.size === "number" ? one.size : one.size.max),
        1,
      ),
    ),
  );
}

test.run();
