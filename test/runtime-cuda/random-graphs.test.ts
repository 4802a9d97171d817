/**
 * Random graphs on the simulated GPU against the interpreter, states carried over several runs. Kernels of each graph are
 * compiled, which takes a second or two: WEFT_RANDOM_GRAPHS asks for more than the few of a usual run.
 */
import { type InterpreterState, interpret } from "@weft/compiler";
import { openSimulator } from "@weft/runtime-cuda";
import { suite } from "uvu";
import { expectOutputsClose } from "../support/expect-close.ts";
import fc from "../support/fast-check.ts";
import type { InstructionKind } from "../support/graph-instructions.ts";
import { randomGraph } from "../support/random-graph.ts";
import { randomRuns } from "../support/random-values.ts";
import { runsOnDevice } from "../support/run-plan.ts";

const test = suite("random graphs on cuda-sim");
// Row `routes` of docs/numerics.md, with the looser functions of a GPU.
const tolerance = { absolute: 2e-4, relative: 2e-4 };
const graphs = Number(process.env.WEFT_RANDOM_GRAPHS ?? 8);

const withBlocks = [
  "blocks",
  "binary",
  "silu",
  "reduce",
  "move",
  "dot",
  "gather",
  "linear",
  "rmsNorm",
  "index",
] as const;

for (const { fusion, kinds } of [true, false].flatMap((fusion) => [
  { fusion },
  { fusion, kinds: withBlocks },
]) as readonly { readonly fusion: boolean; readonly kinds?: readonly InstructionKind[] }[]) {
  test(`${fusion ? "fused" : "unfused"}${kinds === undefined ? "" : ", in NVFP4"}`, async () => {
    await fc.assert(
      fc.asyncProperty(
        randomGraph(kinds && { kinds, maxInstructions: 8 }),
        fc.nat({ max: 1000 }),
        async (graph, seed) => {
          // One for each graph: a fault loses the device.
          using device = await openSimulator();
          const runs = randomRuns(graph, seed, 3);
          const actual = await runsOnDevice(device, graph, runs, { fusion });
          const state: InterpreterState = new Map();
          runs.forEach((values, at) => {
            expectOutputsClose(actual[at]!, interpret(graph, { ...values, state }), tolerance);
          });
        },
      ),
      {
        numRuns: kinds === undefined ? graphs : Math.ceil(graphs / 2),
        endOnFailure: true,
        includeErrorInReport: true,
      },
    );
  });
}

test.run();
