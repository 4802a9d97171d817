// Whole plans against the interpreter: random graphs, fused and unfused, executed by the CPU runtime.

import { type InterpreterState, interpret } from "@weft/compiler";
import { assertOutputsClose } from "@weft/compiler/testing";
import { axis, GraphBuilder } from "@weft/dsl";
import { cpuDevice } from "@weft/runtime-cpu";
import { suite } from "uvu";
import fc from "../../support/fast-check.ts";
import { everyKind, kindsWithBlocks } from "../../support/graph-instructions.ts";
import { randomGraph } from "../../support/random-graph.ts";
import { randomRuns, randomValues } from "../../support/random-values.ts";
import { runOnDevice, runsOnDevice } from "../../support/run-plan.ts";

const test = suite("plans of random graphs");
const device = cpuDevice({ threads: 2 });
const tolerance = { absolute: 2e-4, relative: 2e-4 };

const ways = [true, false].flatMap((fusion) => [
  { fusion, kinds: everyKind },
  { fusion, kinds: kindsWithBlocks },
]);

for (const { fusion, kinds } of ways) {
  const inBlocks = kinds === kindsWithBlocks;
  test(`${fusion ? "fused" : "unfused"}${inBlocks ? ", in NVFP4" : ""}`, async () => {
    await fc.assert(
      fc.asyncProperty(
        randomGraph(inBlocks ? { kinds, maxInstructions: 8 } : {}),
        fc.nat({ max: 1000 }),
        async (graph, seed) => {
          const runs = randomRuns(graph, seed, 3);
          const actual = await runsOnDevice(device, graph, runs, { fusion });
          const state: InterpreterState = new Map();
          runs.forEach((values, at) => {
            assertOutputsClose(actual[at]!, interpret(graph, { ...values, state }), tolerance);
          });
        },
      ),
      { numRuns: 150 },
    );
  });
}

test("an index along a cut row is as long as the cut", async () => {
  const builder = new GraphBuilder();
  const seq = axis("seq", { symbol: "seq", max: 1 });
  const x = builder.add("input", [], { name: "x", dtype: "f32", axes: [seq, axis("hidden", 12)] });
  const position = builder.add("position", [], { axis: seq });
  const rope = { axis: "hidden", theta: 10000, sequence: "seq" };
  const y = builder.add("neg", [builder.add("rope", [builder.add("neg", [x], {}), position], rope)], {});
  const graph = builder.finish("cut", [{ name: "y", node: y }]);
  const values = randomValues(graph, 1);
  assertOutputsClose(await runOnDevice(device, graph, values), interpret(graph, values), tolerance);
});

test("the valid part of a state lies as the whole state does", async () => {
  const builder = new GraphBuilder();
  const [h, rows] = [axis("h", 3), axis("rows", 2)];
  builder.declareSymbol({ name: "past", max: 4 });
  builder.declareState({ name: "s", type: { dtype: "f32", axes: [h, axis("keys", 6)] } });
  const x = builder.add("input", [], { name: "x", dtype: "f32", axes: [rows, h] });
  const append = { state: "s", axis: "rows", into: "keys", past: "past", dtype: "f32" } as const;
  const front = builder.add("stateAppend", [x], { ...append, axes: [h, axis("keys", 4)] });
  const y = builder.add("slice", [builder.add("neg", [front], {})], { axis: "keys", start: 1, size: 2 });
  const graph = builder.finish("part", [
    { name: "front", node: front },
    { name: "y", node: y },
  ]);
  const values = { ...randomValues(graph, 1), symbols: new Map([["past", 1]]) };
  for (const fusion of [true, false]) {
    const actual = await runOnDevice(device, graph, values, { fusion });
    assertOutputsClose(actual, interpret(graph, values), tolerance);
  }
});

test.after(() => device[Symbol.dispose]());
test.run();
