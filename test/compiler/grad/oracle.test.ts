/**
 * Gradients of whole models against an independent implementation: loss and sampled gradients of the small checkpoints
 * under test/fixtures. The loss is the mean cross entropy of the next token.
 */
import { grad, gradientOutput, interpret, runPasses } from "@weft/compiler";
import { type Graph, orThrow, verifyGraph } from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { alongSequence, nextTokens, trainingModel, trainingNames } from "../../support/training-model.ts";

const test = suite("gradients of models");

const differentiated = (model: Graph): Graph =>
  orThrow(runPasses(model, [grad({ loss: "loss" })], verifyGraph)).graph;

for (const name of trainingNames) {
  test(`${name}: the loss and every sampled gradient`, () => {
    const { oracle, mean, parameters } = trainingModel(name);
    const inputs = {
      tokens: alongSequence(oracle.tokens),
      targets: alongSequence(nextTokens(oracle.tokens)),
    };
    const outputs = interpret(differentiated(mean), { inputs, parameters });
    assert.ok(Math.abs(outputs.get("loss")!.data[0]! - oracle.loss) < 1e-8);
    const samples: (readonly [actual: number, expected: number])[] = [];
    for (const [parameter, pairs] of Object.entries(oracle.gradients)) {
      const gradient = outputs.get(gradientOutput(parameter));
      assert.ok(gradient !== undefined, parameter);
      for (const [index, expected] of pairs) samples.push([gradient.data[index]!, expected]);
    }
    assert.ok(samples.length >= 190, `${samples.length} samples`);
    // Asked for are 1e-4 and 1e-3 of the value. Both sides work in doubles, and the oracle is written with nine digits.
    for (const [actual, expected] of samples)
      assert.ok(Math.abs(actual - expected) <= 1e-8 + 1e-7 * Math.abs(expected), `${actual}, ${expected}`);
  });

  test(`${name}: the forward nodes stay, and backward nodes have the paths of forward ones`, () => {
    const { mean: model } = trainingModel(name);
    const graph = differentiated(model);
    const nodes = (one: Graph) =>
      one.nodes.map(({ op, inputs, attributes, type }) => JSON.stringify([op, inputs, attributes, type]));
    assert.equal(nodes(graph).slice(0, model.nodes.length), nodes(model));
    const paths = (op: string): string[] =>
      graph.nodes.filter((node) => node.op === op).map((node) => node.origin.path);
    assert.equal(paths("attendGradient").sort(), paths("attend").sort());
    const known = new Set(model.nodes.map((node) => node.origin.path));
    for (const node of graph.nodes)
      assert.ok(known.has(node.origin.path), `${node.op} at ${node.origin.path}`);
  });

  test(`${name}: every parameter has a gradient`, () => {
    const { mean: model } = trainingModel(name);
    const names = model.nodes.flatMap(({ op, attributes }) =>
      op === "parameter" ? [attributes.name as string] : [],
    );
    const outputs = differentiated(model).outputs.map((one) => one.name);
    assert.equal(outputs, ["loss", ...names.map(gradientOutput)]);
  });
}

test.run();
