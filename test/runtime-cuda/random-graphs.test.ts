/**
 * Random graphs on the simulated GPU against the interpreter, states carried over several runs. Kernels of each graph are
 * compiled, which takes a second or two: WEFT_RANDOM_GRAPHS asks for more than the few of a usual run.
 */

import { type InterpreterState, interpret } from "@weft/compiler";
import { assertOutputsClose } from "@weft/compiler/testing";
import { openSimulator } from "@weft/runtime-cuda";
import { suite } from "uvu";
import fc from "../support/fast-check.ts";
import { everyKind, kindsWithBlocks } from "../support/graph-instructions.ts";
import { randomGraph } from "../support/random-graph.ts";
import { randomRuns } from "../support/random-values.ts";
import { runsOnDevice } from "../support/run-plan.ts";

const test = suite("random graphs on cuda-sim");
// Row `routes` of docs/numerics.md, with the looser functions of a GPU.
const tolerance = { absolute: 2e-4, relative: 2e-4 };
const graphs = Number(process.env.WEFT_RANDOM_GRAPHS ?? 8);

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
          // One for each graph: a fault loses the device.
          using device = await openSimulator();
          const runs = randomRuns(graph, seed, 3);
          const actual = await runsOnDevice(device, graph, runs, { fusion });
          const state: InterpreterState = new Map();
          runs.forEach((values, at) => {
            assertOutputsClose(actual[at]!, interpret(graph, { ...values, state }), tolerance);
          });
        },
      ),
      {
        numRuns: inBlocks ? Math.ceil(graphs / 2) : graphs,
        endOnFailure: true,
        includeErrorInReport: true,
      },
    );
  });
}

test.run();
