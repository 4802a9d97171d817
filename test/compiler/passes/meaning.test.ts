// Every pass keeps the meaning: interpret(before) = interpret(after) on random graphs.

import {
  decompose,
  interpret,
  lastPosition,
  type Pass,
  precision,
  runPasses,
  simplify,
} from "@weft/compiler";
import { assertOutputsClose } from "@weft/compiler/testing";
import { axis, findAxis, type Graph, GraphBuilder, orThrow, type TensorArray, verifyGraph } from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "../../support/fast-check.ts";
import { randomGraph } from "../../support/random-graph.ts";
import { randomValues } from "../../support/random-values.ts";

const test = suite("passes keep the meaning");

function outputsOf(graph: Graph, of: Graph, seed: number): Map<string, TensorArray> {
  // Values are drawn for the original graph: a pass may drop inputs that nothing needs.
  const values = randomValues(of, seed);
  return interpret(graph, values);
}

function holds(pass: () => Pass): void {
  fc.assert(
    fc.property(randomGraph(), fc.nat({ max: 1000 }), (graph, seed) => {
      const { graph: after } = orThrow(runPasses(graph, [pass()], verifyGraph));
      assertOutputsClose(outputsOf(after, graph, seed), outputsOf(graph, graph, seed));
    }),
    { numRuns: 60 },
  );
}

test("simplify", () => holds(() => simplify()));
test("decompose", () => holds(() => decompose()));
test("decompose with attention kept", () => holds(() => decompose((op) => op === "attend")));
test("precision f32, parameters as they are", () => {
  fc.assert(
    fc.property(randomGraph(), fc.nat({ max: 1000 }), (graph, seed) => {
      const dtypes = new Map(
        graph.nodes.flatMap((node) =>
          node.op === "parameter"
            ? [[(node.attributes as { name: string }).name, node.type.dtype] as const]
            : [],
        ),
      );
      const pass = precision({ policy: "f32", storage: (name) => dtypes.get(name)! });
      const { graph: after } = orThrow(runPasses(graph, [pass], verifyGraph));
      assertOutputsClose(outputsOf(after, graph, seed), outputsOf(graph, graph, seed));
    }),
    { numRuns: 60 },
  );
});

test("simplify twice changes nothing more", () => {
  fc.assert(
    fc.property(randomGraph(), (graph) => {
      const { graph: once } = orThrow(runPasses(graph, [simplify()], verifyGraph));
      const { graph: twice } = orThrow(runPasses(once, [simplify()], verifyGraph));
      assert.equal(twice.nodes.length, once.nodes.length);
    }),
    { numRuns: 60 },
  );
});

/** The last element of `axis` of an array that has it. */
function lastOf(array: TensorArray, along: string): TensorArray {
  const at = array.axes.findIndex((one) => one.name === along);
  if (at === -1) return array;
  const size = array.axes[at]!.size;
  const inner = array.axes.slice(at + 1).reduce((product, one) => product * one.size, 1);
  const data = array.data.filter((_, index) => Math.floor(index / inner) % size === size - 1);
  return {
    ...array,
    axes: array.axes.map((one) => (one.name === along ? { name: along, size: 1 } : one)),
    data,
  };
}

test("lastPosition gives the last element of every output", () => {
  fc.assert(
    fc.property(randomGraph(), fc.nat({ max: 1000 }), (graph, seed) => {
      const wanted = graph.outputs.filter(
        (one) => findAxis(graph.nodes[one.node]!.type, "seq") !== undefined,
      );
      const pass = lastPosition(wanted.map((one) => one.name));
      const { graph: after } = orThrow(runPasses(graph, [pass], verifyGraph));
      const expected = new Map(
        [...outputsOf(graph, graph, seed)].map(([name, value]) => [
          name,
          wanted.some((one) => one.name === name) ? lastOf(value, "seq") : value,
        ]),
      );
      assertOutputsClose(outputsOf(after, graph, seed), expected);
    }),
    { numRuns: 80 },
  );
});

test("lastPosition cuts what an op along the sequence gives before it meets what is cut", () => {
  const builder = new GraphBuilder();
  const x = builder.add("input", [], {
    name: "x",
    dtype: "f32",
    axes: [axis("seq", { symbol: "seq", max: 4 }), axis("hidden", 3)],
  });
  const mixed = builder.add("softmax", [x], { axis: "seq" });
  const y = builder.add("mul", [mixed, builder.add("neg", [x], {})], {});
  const graph = builder.finish("mixed", [{ name: "y", node: y }]);
  const { graph: after } = orThrow(runPasses(graph, [lastPosition(["y"])], verifyGraph));
  const expected = outputsOf(graph, graph, 1).get("y")!;
  assertOutputsClose(outputsOf(after, graph, 1), new Map([["y", lastOf(expected, "seq")]]));
});

test.run();
