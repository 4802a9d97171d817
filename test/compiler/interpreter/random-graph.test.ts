/** Random graphs: what the generator promises, and that every composite's definition has the type its rule says. */

import { dotArrays, expandGraph, interpret } from "@weft/compiler";
import { assertClose, assertOutputsClose } from "@weft/compiler/testing";
import { type Graph, type OpAttributes, type OpDefinition, opNames, opTable } from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "../../support/fast-check.ts";
import { everyKind } from "../../support/graph-instructions.ts";
import { randomGraph } from "../../support/random-graph.ts";
import { randomValues } from "../../support/random-values.ts";

const test = suite("random graphs");

test("values stay finite, and f32 follows the doubles", () => {
  fc.assert(
    fc.property(randomGraph({ kinds: everyKind }), fc.nat(), (graph, seed) => {
      const values = randomValues(graph, seed);
      const doubles = interpret(graph, values);
      for (const { data } of doubles.values()) assert.ok(data.every(Number.isFinite));
      assertOutputsClose(interpret(graph, { ...values, roundF32: true }), doubles, {
        absolute: 1e-3,
        relative: 1e-3,
      });
    }),
    { numRuns: 300 },
  );
});

test("the generator reaches every op, and all the shapes that passes must face", () => {
  const met = new Set<string>();
  fc.assert(
    fc.property(randomGraph({ kinds: everyKind }), (graph) => {
      for (const node of graph.nodes) met.add(node.op);
      const uses = usesOf(graph);
      if (uses.some((count) => count > 1)) met.add("fan-out");
      if (graph.nodes.some((node) => uses[node.id] === 0)) met.add("dead");
      if (graph.outputs.length > 1) met.add("outputs");
      if (
        new Set(graph.nodes.map(({ op, inputs, attributes }) => JSON.stringify([op, inputs, attributes])))
          .size < graph.nodes.length
      )
        met.add("duplicate");
      const written = graph.nodes.flatMap(({ op, attributes }) =>
        op === "stateWrite" || op === "stateAppend" ? [attributes.state] : [],
      );
      if (new Set(written).size < written.length) met.add("state overwritten");
    }),
    { numRuns: 400, seed: 1 },
  );
  // Blocks need axes of 16 elements, which are more than these graphs have: compiler/passes/quantize.test.ts.
  const reached = opNames.filter((name) => name !== "quantizeNvfp4");
  const wanted = [...reached, "state overwritten", "fan-out", "dead", "outputs", "duplicate"];
  assert.equal(
    wanted.filter((name) => !met.has(name)),
    [],
  );
});

test("the fast dot gives the bits of the reference", () => {
  const { meaning } = opTable.dot as OpDefinition<"dot">;
  assert.is(meaning.tag, "reference");
  fc.assert(
    fc.property(randomGraph({ kinds: ["dot", "linear", "move", "unary"] }), fc.nat(), (graph, seed) => {
      const { graph: primitive } = expandGraph(graph);
      const inputs: Parameters<typeof dotArrays>[0][] = [];
      interpret(primitive, {
        ...randomValues(graph, seed),
        observe: (node, value) => (inputs[node.id] = value),
      });
      for (const node of primitive.nodes) {
        if (node.op !== "dot" || meaning.tag !== "reference") continue;
        const attributes = node.attributes as unknown as OpAttributes["dot"];
        const operands = node.inputs.map((id) => inputs[id]!);
        const expected = meaning.reference(operands, attributes, { symbols: new Map() });
        assertClose(dotArrays(operands[0]!, operands[1]!, attributes.contract), expected, {
          absolute: Number.MIN_VALUE,
          relative: 0,
        });
      }
    }),
  );
});

function usesOf(graph: Graph): number[] {
  const uses = graph.nodes.map(() => 0);
  for (const node of graph.nodes) for (const id of node.inputs) uses[id]!++;
  for (const { node } of graph.outputs) uses[node]!++;
  return uses;
}

test.run();
