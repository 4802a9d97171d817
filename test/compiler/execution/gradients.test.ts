// The backward graph of a whole model on the CPU: every op of it but scatterAdd has kernels already, by its definition.
import { grad, interpret, runPasses } from "@weft/compiler";
import { orThrow, verifyGraph } from "@weft/dsl";
import { cpuDevice } from "@weft/runtime-cpu";
import { suite } from "uvu";
import { expectOutputsClose } from "../../support/expect-close.ts";
import { runOnDevice } from "../../support/run-plan.ts";
import { alongSequence, nextTokens, trainingModel, trainingNames } from "../../support/training-model.ts";

const test = suite("gradients on the CPU");
const device = cpuDevice({ threads: 2 });
const table = "model.embed_tokens.weight";

for (const name of trainingNames) {
  test(`${name}: all but the looked-up table's`, async () => {
    const { oracle, mean, parameters } = trainingModel(name);
    const names = mean.nodes.flatMap(({ op, attributes }) => {
      const parameter = attributes.name as string;
      return op === "parameter" && parameter !== table ? [parameter] : [];
    });
    const { graph } = orThrow(runPasses(mean, [grad({ loss: "loss", parameters: names })], verifyGraph));
    const inputs = new Map([
      ["tokens", alongSequence(oracle.tokens)],
      ["targets", alongSequence(nextTokens(oracle.tokens))],
    ]);
    const weights = new Map([...names, table].map((parameter) => [parameter, parameters(parameter)!]));
    const values = { symbols: new Map([["seq", oracle.tokens.length]]), inputs, weights, parameters };
    for (const fusion of [true, false]) {
      const actual = await runOnDevice(device, graph, values, { fusion });
      expectOutputsClose(actual, interpret(graph, values), { absolute: 1e-5, relative: 1e-4 });
    }
  });
}

test.run();
