/** Gradients of random graphs against central differences in double precision. */

import { grad, interpret, PassRecorder, precision, runPasses } from "@weft/compiler";
import { assertGradients, lossOutput, withLoss } from "@weft/compiler/testing";
import { type Graph, orThrow, verifyGraph } from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import fc from "../../support/fast-check.ts";
import { everyKind } from "../../support/graph-instructions.ts";
import { randomGraph } from "../../support/random-graph.ts";
import { randomValues } from "../../support/random-values.ts";

const test = suite("gradients of random graphs");
// A cache has no gradient, nor has a weight in blocks.
const kinds = everyKind.filter((kind) => kind !== "stateAppend");

function hasWeights(graph: Graph): boolean {
  return graph.nodes.some((node) => node.op === "parameter");
}

test("every gradient is the slope of the loss", () => {
  let compared = 0;
  fc.assert(
    fc.property(
      randomGraph({ kinds, maxInstructions: 10 }).filter(hasWeights),
      fc.nat({ max: 1000 }),
      (graph, seed) => {
        const loss = withLoss(graph);
        // A weight stored in bf16 is moved by less than bf16 can tell: the interpreter takes the doubles as they are.
        compared += assertGradients(loss, randomValues(graph, seed), {
          most: 4,
          step: 1e-5,
          absolute: 1e-6,
          relative: 1e-5,
        });
      },
    ),
    { numRuns: 120 },
  );
  assert.ok(compared > 300, `${compared} derivatives other than 0`);
});

test("the loss stays what it was, and the result verifies, before and after precision", () => {
  fc.assert(
    fc.property(randomGraph({ kinds, maxInstructions: 10 }), fc.nat({ max: 1000 }), (graph, seed) => {
      const before = withLoss(graph);
      const values = randomValues(graph, seed);
      const stored = new Map(before.nodes.map(({ attributes, type }) => [attributes.name, type.dtype]));
      for (const policy of ["f32", "bf16"] as const) {
        const passes = [
          grad({ loss: lossOutput }),
          precision({ policy, storage: (name) => stored.get(name)! }),
        ];
        const { graph: after } = orThrow(runPasses(before, passes, verifyGraph));
        for (const { name, node } of after.outputs)
          if (name !== lossOutput) assert.is(after.nodes[node]!.type.dtype, "f32");
      }
      const after = grad({ loss: lossOutput }).run(before, new PassRecorder());
      assert.equal(interpret(after, values).get(lossOutput), interpret(before, values).get(lossOutput));
    }),
    { numRuns: 60 },
  );
});

test.run();
