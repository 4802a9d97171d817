/** packDocuments: what stands in one sequence gives the losses and the gradients of each document alone. */
import {
  compile,
  expandBlock,
  grad,
  gradientOutput,
  interpret,
  kvCache,
  type Pass,
  packDocuments,
  packInputs,
  precision,
  runPasses,
} from "@weft/compiler";
import {
  attend,
  axis,
  formatProblems,
  type Graph,
  linear,
  named,
  orThrow,
  type TensorArray,
  verifyGraph,
} from "@weft/dsl";
import { isLeft } from "fp-ts/lib/Either.js";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { alongSequence, nextTokens, trainingModel, trainingNames } from "../../support/training-model.ts";

const test = suite("packDocuments");

const run = (graph: Graph, ...passes: readonly Pass[]): Graph =>
  orThrow(runPasses(graph, passes, verifyGraph)).graph;

function refusal(graph: Graph, ...passes: readonly Pass[]): string {
  const result = runPasses(graph, passes, verifyGraph);
  assert.ok(isLeft(result));
  return formatProblems(result.left)
    .split("\n")[0]!
    .replace(/ \([^)]*\)/, "");
}

/** The inputs of documents that stand one behind the other. */
function packed(documents: readonly (readonly number[])[]): Record<string, TensorArray> {
  const starts = documents.map((_, at) => documents.slice(0, at).flat().length);
  return {
    tokens: alongSequence(documents.flat()),
    targets: alongSequence(documents.flatMap(nextTokens)),
    [packInputs.positions]: alongSequence(documents.flatMap((one) => one.map((_, index) => index))),
    [packInputs.starts]: alongSequence(documents.flatMap((one, at) => one.map(() => starts[at]!))),
  };
}

const alone = (tokens: readonly number[]) => ({
  tokens: alongSequence(tokens),
  targets: alongSequence(nextTokens(tokens)),
});

function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  assert.is(a.length, b.length);
  return Array.from(a).reduce((worst, value, index) => Math.max(worst, Math.abs(value - b[index]!)), 0);
}

for (const name of trainingNames) {
  const { oracle, mean, each, parameters } = trainingModel(name);
  const documents = [oracle.tokens.slice(0, 9), oracle.tokens.slice(9, 10), oracle.tokens.slice(10)];

  test(`${name}: the loss at each position is that of the document alone`, () => {
    const together = interpret(run(each, packDocuments()), { inputs: packed(documents), parameters });
    const apart = documents.flatMap((tokens) => [
      ...interpret(each, { inputs: alone(tokens), parameters }).get("loss")!.data,
    ]);
    assert.ok(largestDifference(together.get("loss")!.data, apart) < 1e-12);
    // It is not for nothing: in one document the later losses are others.
    const one = interpret(each, { inputs: alone(oracle.tokens), parameters }).get("loss")!.data;
    assert.ok(largestDifference(one, apart) > 0.1);
  });

  test(`${name}: gradients are the mean of the documents', weighed by their targets`, () => {
    const together = interpret(run(mean, packDocuments(), grad({ loss: "loss" })), {
      inputs: packed(documents),
      parameters,
    });
    const backward = run(mean, grad({ loss: "loss" }));
    const parts = documents.map((tokens) => interpret(backward, { inputs: alone(tokens), parameters }));
    const counts = documents.map((tokens) => tokens.length - 1);
    const total = counts.reduce((sum, count) => sum + count, 0);
    assert.ok(together.size > 20);
    for (const [output, { data }] of together) {
      const expected = data.map((_, at) =>
        parts.reduce((sum, part, which) => sum + (part.get(output)!.data[at]! * counts[which]!) / total, 0),
      );
      assert.ok(largestDifference(data, expected) < 1e-12, output);
    }
    assert.ok(together.has(gradientOutput("model.embed_tokens.weight")));
  });
}

test("one document with positions from 0 is what it was", () => {
  const { oracle, mean, parameters } = trainingModel("tiny");
  const before = interpret(mean, { inputs: alone(oracle.tokens), parameters });
  const after = interpret(run(mean, packDocuments()), { inputs: packed([oracle.tokens]), parameters });
  assert.equal(after.get("loss"), before.get("loss"));
});

test("the fused attention is declined where there are starts, and taken where there are none", () => {
  const { mean } = trainingModel("tiny");
  const attentionSteps = (...passes: readonly Pass[]) => {
    const storage = precision({ policy: "f32", storage: () => "f32" });
    const compiled = orThrow(
      compile([{ name: "loss", graph: mean, passes: [...passes, storage] }], { name: "loss" }),
    );
    const { steps } = compiled.plan.programs[0]!;
    return steps.filter((step) => compiled.plan.kernels[step.kernel]!.kind === "attention").length;
  };
  assert.is(attentionSteps(), 2);
  assert.is(attentionSteps(packDocuments()), 0);
});

test("what cannot be packed is a sentence", () => {
  const { mean } = trainingModel("tiny");
  const seq = axis("seq", { symbol: "seq", max: 8 });
  const [heads, kvHeads, headDim] = [axis("heads", 2), axis("kvHeads", 1), axis("headDim", 4)];
  const open = expandBlock(named("attention", attend({ heads, kvHeads, headDim, causal: false })), {
    name: "open",
    lead: [seq],
  });
  const path = "at model.layers.0";
  assert.is(
    refusal(open, packDocuments()),
    "unsupported: [packDocuments] attention must be causal, for only its first key can be given; at attention; use causal attention",
  );
  assert.is(
    refusal(mean, grad({ loss: "loss" }), packDocuments()),
    `unsupported: [packDocuments] must run before the gradient of attention is written; at model.layers.1; run packDocuments before grad`,
  );
  assert.is(
    refusal(mean, packDocuments(), packDocuments()),
    '[packDocuments] something must ask for its position along "seq"; without positions and attention, documents do not touch: leave the pass out',
  );
  assert.is(
    refusal(mean, packDocuments(), kvCache({ capacity: 32, dtype: "f32" })),
    `unsupported: [kvCache] a cache holds one document, so attention must not have starts; ${path}; leave out packDocuments where there is a cache`,
  );
  const layer = expandBlock(linear("l", axis("a", 2), axis("b", 2)), { name: "layer", lead: [seq] });
  assert.is(
    refusal(layer, packDocuments()),
    '[packDocuments] something must ask for its position along "seq"; without positions and attention, documents do not touch: leave the pass out',
  );
});

test.run();
