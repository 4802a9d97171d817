/**
 * Gradients of whole models against an independent implementation: loss and sampled gradients of the small checkpoints
 * under test/fixtures. The loss is the mean cross entropy of the next token.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expandBlock, grad, gradientOutput, interpret, runPasses } from "@weft/compiler";
import { axis, chain, first, meanCrossEntropy, orThrow, type TensorArray, verifyGraph } from "@weft/dsl";
import { axesOf, openCheckpoint, qwen3Model, readQwen3Config, readTensor } from "@weft/qwen3";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { fixtures } from "../../support/models.ts";

const test = suite("gradients of models");

interface Oracle {
  readonly tokens: readonly number[];
  readonly loss: number;
  /** Pairs of flat index and value, by parameter. */
  readonly gradients: Readonly<Record<string, readonly (readonly [number, number])[]>>;
}

function load(name: string) {
  const folder = join(fixtures, name);
  const oracle = JSON.parse(readFileSync(join(folder, "oracle.json"), "utf8")) as Oracle;
  const config = orThrow(readQwen3Config(folder));
  const checkpoint = orThrow(openCheckpoint(folder));
  const seq = axis("seq", { symbol: "seq", max: 32 });
  const model = expandBlock(chain(first(qwen3Model(config)), meanCrossEntropy(axesOf(config).vocab, seq)), {
    name,
    lead: [],
    inputNames: ["tokens", "targets"],
    outputName: "loss",
  });
  const { graph } = orThrow(runPasses(model, [grad({ loss: "loss" })], verifyGraph));
  const shapes = new Map(graph.nodes.map((node) => [node.attributes.name, node.type.axes]));
  const weights = new Map<string, TensorArray>();
  for (const [parameter, entry] of checkpoint.tensors) {
    const axes = shapes.get(parameter)?.map((one) => ({ name: one.name, size: one.size as number })) ?? [];
    weights.set(parameter, { dtype: "f32", axes, data: Float64Array.from(readTensor(entry)) });
  }
  const ids = (values: readonly number[]): TensorArray => ({
    dtype: "i32",
    axes: [{ name: "seq", size: values.length }],
    data: Float64Array.from(values),
  });
  const inputs = { tokens: ids(oracle.tokens), targets: ids([...oracle.tokens.slice(1), -1]) };
  return {
    oracle,
    graph,
    model,
    weights,
    run: () => interpret(graph, { inputs, parameters: (one) => weights.get(one) }),
  };
}

for (const name of ["tiny", "tiny-tied"]) {
  test(`${name}: the loss and every sampled gradient`, () => {
    const { oracle, run } = load(name);
    const outputs = run();
    assert.ok(Math.abs(outputs.get("loss")!.data[0]! - oracle.loss) < 1e-5);
    const samples: (readonly [actual: number, expected: number])[] = [];
    for (const [parameter, pairs] of Object.entries(oracle.gradients)) {
      const gradient = outputs.get(gradientOutput(parameter));
      assert.ok(gradient !== undefined, parameter);
      for (const [index, expected] of pairs) samples.push([gradient.data[index]!, expected]);
    }
    assert.ok(samples.length >= 190, `${samples.length} samples`);
    // Asked for are 1e-4 and 1e-3 of the value. Both sides work in doubles: reached are 3e-10 and the printed digits.
    for (const [actual, expected] of samples)
      assert.ok(Math.abs(actual - expected) <= 1e-8 + 1e-7 * Math.abs(expected), `${actual}, ${expected}`);
  });

  test(`${name}: the forward nodes stay, and every backward node has a path`, () => {
    const { model, graph } = load(name);
    const operations = (one: typeof model) =>
      one.nodes.map(({ op, attributes, type }) => JSON.stringify([op, attributes, type]));
    assert.equal(operations(graph).slice(0, model.nodes.length), operations(model));
    const paths = (op: string): string[] =>
      graph.nodes.filter((node) => node.op === op).map((node) => node.origin.path);
    assert.equal(paths("attendGradient").sort(), paths("attend").sort());
    const known = new Set(model.nodes.map((node) => node.origin.path));
    for (const node of graph.nodes)
      assert.ok(known.has(node.origin.path), `${node.op} at ${node.origin.path}`);
  });
}

test.run();
