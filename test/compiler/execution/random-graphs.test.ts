// Whole plans against the interpreter: random graphs, fused and unfused, executed by the CPU runtime.
import { interpret } from "@weft/compiler";
import { cpuDevice } from "@weft/runtime-cpu";
import fc from "fast-check";
import { suite } from "uvu";
import { expectOutputsClose } from "../../support/expect-close.ts";
import { randomGraph } from "../../support/random-graph.ts";
import { randomValues } from "../../support/random-values.ts";
import { runOnDevice } from "../../support/run-plan.ts";

const test = suite("plans of random graphs");
const device = cpuDevice({ threads: 2 });
const tolerance = { absolute: 2e-4, relative: 2e-4 };

for (const fusion of [true, false]) {
  test(fusion ? "fused" : "unfused", async () => {
    await fc.assert(
      fc.asyncProperty(randomGraph(), fc.nat({ max: 1000 }), async (graph, seed) => {
        const values = randomValues(graph, seed);
        const actual = await runOnDevice(device, graph, values, { fusion });
        expectOutputsClose(actual, interpret(graph, values), tolerance);
      }),
      { numRuns: 150 },
    );
  });
}

test.after(() => device[Symbol.dispose]());
test.run();
