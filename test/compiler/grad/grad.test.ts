/** The pass `grad`: what is summed, what is refused with which words, and what other passes make of the result. */

import { compile, grad, gradientOutput, interpret, type Pass, precision, runPasses } from "@weft/compiler";
import { assertGradients, randomNumbers, withLoss } from "@weft/compiler/testing";
import {
  type Dtype,
  formatProblems,
  type Graph,
  GraphBuilder,
  type NodeId,
  orThrow,
  type TensorArray,
  verifyGraph,
} from "@weft/dsl";
import { type Either, isLeft } from "fp-ts/lib/Either.js";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("grad");

const hidden = { name: "hidden", size: 4 };
const out = { name: "out", size: 3 };
const rows = { name: "rows", size: 2 };

function matrix(builder: GraphBuilder, name: string, axes = [out, hidden]): NodeId {
  return builder.add("parameter", [], { name, dtype: "f32", axes });
}

function arrays(graph: Graph): Map<string, TensorArray> {
  const next = randomNumbers(7);
  return new Map(
    graph.nodes.flatMap(({ op, type, attributes }): [string, TensorArray][] => {
      if (op !== "parameter") return [];
      const axes = type.axes.map((one) => ({ name: one.name, size: one.size as number }));
      const count = axes.reduce((product, one) => product * one.size, 1);
      const data = Float64Array.from({ length: count }, () => 2 * next() - 1);
      return [[attributes.name as string, { dtype: "f32", axes, data }]];
    }),
  );
}

function run(graph: Graph, ...passes: readonly Pass[]): Graph {
  const result = runPasses(graph, passes, verifyGraph);
  if (isLeft(result)) throw new Error(formatProblems(result.left));
  return result.right.graph;
}

function complaint(result: Either<Parameters<typeof formatProblems>[0], unknown>): string {
  assert.ok(isLeft(result));
  return formatProblems(result.left);
}

const refusalOf = (graph: Graph, options: Parameters<typeof grad>[0]) =>
  complaint(runPasses(graph, [grad(options)], verifyGraph));

test("fan-out: what several readers hand back is summed", () => {
  const builder = new GraphBuilder();
  const x = matrix(builder, "x", [hidden]);
  const y = builder.add("exp", [x], {});
  const parts = [builder.add("mul", [y, x], {}), builder.add("sin", [y], {}), builder.add("add", [y, y], {})];
  const graph = withLoss(
    builder.finish(
      "fan-out",
      parts.map((node, at) => ({ name: `y${at}`, node })),
    ),
  );
  assert.is(assertGradients(graph, { inputs: new Map(), weights: arrays(graph) }), 4);
});

test("a weight that is used twice has one gradient, the sum of both", () => {
  const builder = new GraphBuilder();
  const table = matrix(builder, "table");
  const indices = builder.add("cast", [builder.add("iota", [], { axis: rows })], { dtype: "i32" });
  const x = builder.add("embedding", [indices, table], { axis: "out" });
  const y = builder.add("linear", [x, table], { from: ["hidden"], to: ["out"] });
  const graph = withLoss(builder.finish("tied", [{ name: "y", node: y }]));
  assert.is(assertGradients(graph, { inputs: new Map(), weights: arrays(graph) }), 12);
  const after = run(graph, grad({ loss: "loss" }));
  assert.equal(
    after.outputs.map((one) => one.name),
    ["loss", "gradient.table"],
  );
});

test("an input that stands twice in a composite has both its uses in one cotangent", () => {
  const builder = new GraphBuilder();
  const x = matrix(builder, "x", [rows, hidden]);
  const expression = {
    tag: "binary",
    function: "mul",
    left: { tag: "argument", index: 0 },
    right: { tag: "unary", function: "sin", operand: { tag: "argument", index: 1 } },
  } as const;
  const y = builder.add("pointwise", [x, x], { name: "twice", expression });
  const graph = withLoss(builder.finish("twice", [{ name: "y", node: y }]));
  assert.is(assertGradients(graph, { inputs: new Map(), weights: arrays(graph) }), 8);
});

function twoWeights(): Graph {
  const builder = new GraphBuilder();
  const [a, b] = [matrix(builder, "block.a", [hidden]), matrix(builder, "block.b", [hidden])];
  const unused = builder.add("floor", [matrix(builder, "block.c", [hidden])], {});
  const y = builder.add("add", [builder.add("mul", [a, b], {}), unused], {});
  return withLoss(builder.finish("two", [{ name: "y", node: y }]));
}

test("only the parameters that are named, or all that the loss depends on", () => {
  const graph = twoWeights();
  const names = (options: Parameters<typeof grad>[0]) =>
    run(graph, grad(options)).outputs.map((one) => one.name);
  assert.equal(names({ loss: "loss" }), ["loss", gradientOutput("block.a"), gradientOutput("block.b")]);
  assert.equal(names({ loss: "loss", parameters: ["block.b", "block.b"] }), ["loss", "gradient.block.b"]);
  assert.equal(names({ loss: "loss", parameters: [] }), ["loss"]);
});

test("what does not fit is a sentence, several of them in one report", () => {
  const graph = twoWeights();
  assert.is(
    refusalOf(graph, { loss: "los" }),
    '[grad] the loss must be an output of the graph; given "los"; did you mean "loss"?',
  );
  assert.is(
    refusalOf(graph, { loss: "loss", parameters: ["block.d", "other"] }),
    [
      '[grad] the graph must have a float parameter of this name; given "block.d"; did you mean "block.a"?',
      '[grad] the graph must have a float parameter of this name; given "other"',
    ].join("\n"),
  );
  assert.is(
    refusalOf(graph, { loss: "loss", parameters: ["block.a", "block.c"] }),
    '[grad] the loss "loss" must depend on the parameter; given "block.c"; leave it out of the parameters, or put it to use',
  );
  const builder = new GraphBuilder();
  builder.origin = { path: "head" };
  const vector = builder.add("exp", [matrix(builder, "x", [hidden])], {});
  assert.is(
    refusalOf(builder.finish("vector", [{ name: "y", node: vector }]), { loss: "y" }),
    '[grad] the loss "y" must be one float number; given f32[hidden=4]; at head; sum it, or take its mean, over the axes that are left',
  );
});

test("a missing derivative names op and path, where a parameter stands behind it", () => {
  const build = (op: "parameter" | "input") => {
    const builder = new GraphBuilder();
    const seq = { name: "seq", size: 2 };
    const past = { name: "keys", size: { symbol: "keys", max: 8 } };
    builder.declareSymbol({ name: "past", max: 6 });
    builder.declareSymbol({ name: "keys", max: 8, sum: ["past", "two"] });
    builder.declareSymbol({ name: "two", max: 2 });
    const state = { dtype: "f32", axes: [{ name: "keys", size: 8 }, hidden] } as const;
    builder.declareState({ name: "cache", type: state });
    builder.origin = { path: "model.layers.3.self_attn", source: "model.ts:12:5" };
    const x = builder.add(op, [], { name: "x", dtype: "f32", axes: [seq, hidden] });
    const kept = builder.add("stateAppend", [x], {
      state: "cache",
      axis: "seq",
      into: "keys",
      past: "past",
      axes: [past, hidden],
      dtype: "f32",
    });
    return withLoss(builder.finish("cached", [{ name: "y", node: kept }]));
  };
  assert.is(
    refusalOf(build("parameter"), { loss: "loss" }),
    "unsupported: [stateAppend] the loss must not depend on a parameter through an op without a derivative; " +
      "at model.layers.3.self_attn (model.ts:12:5); a cache is for generation: train without kvCache",
  );
  run(build("input"), grad({ loss: "loss" }));
});

/** loss = sum of squares of linear(embedding(i)). */
function lookedUp(): Graph {
  const builder = new GraphBuilder();
  builder.origin = { path: "model.embed_tokens" };
  const tokens = builder.add("input", [], { name: "tokens", dtype: "i32", axes: [rows] });
  const x = builder.add("embedding", [tokens, matrix(builder, "model.embed_tokens.weight")], { axis: "out" });
  builder.origin = { path: "lm_head" };
  const y = builder.add("linear", [x, matrix(builder, "lm_head.weight", [out, hidden])], {
    from: ["hidden"],
    to: ["out"],
  });
  return withLoss(builder.finish("looked-up", [{ name: "y", node: y }]));
}

test("a plan with a looked-up table's gradient adds rows up in one kernel", () => {
  const passes = [grad({ loss: "loss" })];
  const { plan } = orThrow(compile([{ name: "step", graph: lookedUp(), passes }], { name: "plan" }));
  assert.equal(
    plan.kernels.filter(({ kind }) => kind === "scatterAdd").map(({ name }) => name),
    ["scatter_add"],
  );
});

test("what a state was given flows back from where it is read again, past a write of nothing that is trained", () => {
  const builder = new GraphBuilder();
  const type = { dtype: "f32", axes: [out, hidden] } as const;
  builder.declareState({ name: "held", type });
  const weight = matrix(builder, "weight");
  builder.add("stateWrite", [builder.add("tanh", [weight], {})], { state: "held" });
  const first = builder.add("stateRead", [], { state: "held", ...type });
  builder.add("stateWrite", [builder.add("broadcast", [builder.constant(2)], { axes: type.axes })], {
    state: "held",
  });
  const second = builder.add("stateRead", [], { state: "held", ...type });
  const product = builder.add("mul", [first, second], {});
  const graph = withLoss(builder.finish("held", [{ name: "y", node: product }]));
  assert.is(assertGradients(graph, { inputs: new Map(), weights: arrays(graph) }), 12);
});

test("precision bf16 behind grad: products of both directions read bf16, gradients stay f32 and close", () => {
  const graph = lookedUp();
  const exact = run(graph, grad({ loss: "loss" }));
  const storage = (name: string): Dtype => (name === "lm_head.weight" ? "bf16" : "f32");
  const rounded = run(exact, precision({ policy: "bf16", storage }));
  for (const node of rounded.nodes) {
    if (node.op !== "dot") continue;
    for (const id of node.inputs) assert.is(rounded.nodes[id]!.type.dtype, "bf16");
  }
  const gradientTypes = rounded.outputs.slice(1).map((one) => rounded.nodes[one.node]!.type);
  assert.equal(
    gradientTypes.map(({ dtype, axes }) => [dtype, axes.map((one) => one.name).join()]),
    [
      ["f32", "out,hidden"],
      ["f32", "out,hidden"],
    ],
  );
  const weights = arrays(graph);
  const tokens: TensorArray = { dtype: "i32", axes: [rows], data: Float64Array.of(2, 0) };
  const values = (one: Graph) =>
    interpret(one, { inputs: { tokens }, parameters: (name) => weights.get(name) });
  const [a, b] = [values(exact), values(rounded)];
  for (const [name, { data }] of a) {
    const scale = Math.max(...data.map(Math.abs));
    const other = b.get(name)!.data;
    // Three roundings of 2^-9 each.
    assert.ok(
      data.every((value, at) => Math.abs(value - other[at]!) <= 0.02 * scale),
      name,
    );
  }
});

test.run();
