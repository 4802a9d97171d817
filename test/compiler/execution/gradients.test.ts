// The backward graph of a whole model on every device, fused and not: the loss and all gradients against the interpreter,
// and what the oracle knows of them.

import { grad, gradientOutput, interpret, runPasses } from "@weft/compiler";
import { assertOutputsClose } from "@weft/compiler/testing";
import { orThrow, verifyGraph } from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { devicesHere, openDevice } from "../../support/models.ts";
import { runOnDevice } from "../../support/run-plan.ts";
import { alongSequence, nextTokens, trainingModel, trainingNames } from "../../support/training-model.ts";

const test = suite("gradients of models");

for (const on of await devicesHere()) {
  for (const name of trainingNames) {
    test(`${name}, on ${on}`, async () => {
      const { oracle, mean, parameters } = trainingModel(name);
      const { graph } = orThrow(runPasses(mean, [grad({ loss: "loss" })], verifyGraph));
      const inputs = new Map([
        ["tokens", alongSequence(oracle.tokens)],
        ["targets", alongSequence(nextTokens(oracle.tokens))],
      ]);
      const weights = new Map(
        graph.nodes.flatMap(({ op, attributes }) => {
          const parameter = attributes.name as string;
          return op === "parameter" ? [[parameter, parameters(parameter)!] as const] : [];
        }),
      );
      const values = { symbols: new Map([["seq", oracle.tokens.length]]), inputs, weights, parameters };
      using device = await openDevice(on);
      for (const fusion of [true, false]) {
        const actual = await runOnDevice(device, graph, values, { fusion });
        assertOutputsClose(actual, interpret(graph, values), { absolute: 1e-5, relative: 1e-4 });
        assert.ok(Math.abs(actual.get("loss")!.data[0]! - oracle.loss) <= 1e-4, "loss");
        for (const [parameter, pairs] of Object.entries(oracle.gradients)) {
          const { data } = actual.get(gradientOutput(parameter))!;
          for (const [at, value] of pairs) {
            const difference = Math.abs(data[at]! - value);
            assert.ok(
              difference <= 1e-5 + 1e-3 * Math.abs(value),
              `${parameter}[${at}]: ${data[at]}, ${value}`,
            );
          }
        }
      }
    });
  }
}

test.run();
