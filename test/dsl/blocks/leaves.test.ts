/** What each leaf says to the compiler: op, attributes, parameters, side inputs. */
import {
  type AnyBlock,
  attend,
  axis,
  embedding,
  exp,
  formatProblem,
  type LeafExpression,
  largest,
  leavesOf,
  linear,
  maximum,
  minimum,
  rmsNorm,
  rope,
  silu,
  softmax,
  sum,
  topK,
  type WeftError,
} from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { axes, vocab } from "./axes.ts";

const { hidden, heads, kvHeads, headDim } = axes;
const test = suite("blocks: leaves");

function leafOf(block: AnyBlock): LeafExpression & { readonly path: string } {
  const [placed, ...rest] = [...leavesOf(block)];
  assert.equal(rest, []);
  return { ...placed!.leaf, path: placed!.path };
}

function shapes(block: AnyBlock): readonly string[] {
  return leafOf(block).parameters.map(
    (one) => `${one.shared ? "=" : ""}${one.name} ${one.axes.map((a) => a.name).join(" ")} ${one.initial}`,
  );
}

function complaint(build: () => unknown): string {
  try {
    build();
  } catch (error) {
    return (error as WeftError).problems
      .map((one) => formatProblem({ ...one, location: undefined }))
      .join("\n");
  }
  throw new Error("nothing was thrown");
}

test("linear", () => {
  const q = linear("self_attn.q_proj", hidden, [heads, headDim]);
  const { path, op, attributes, sideInputs } = leafOf(q);
  assert.equal(
    { path, op, attributes, sideInputs },
    {
      path: "self_attn.q_proj",
      op: "linear",
      attributes: { from: ["hidden"], to: ["heads", "headDim"] },
      sideInputs: [],
    },
  );
  assert.equal(shapes(q), ["weight heads headDim hidden normal"]);
  assert.equal(shapes(linear("o", [heads, headDim], hidden, { bias: true })), [
    "weight hidden heads headDim normal",
    "bias hidden zeros",
  ]);
  assert.equal(shapes(linear("square", hidden, hidden)), ["weight hidden hidden' normal"]);
  assert.equal(shapes(linear("lm_head", hidden, vocab, { weight: "model.embed_tokens.weight" })), [
    "=model.embed_tokens.weight vocab hidden normal",
  ]);
  assert.is(
    complaint(() => linear("a", hidden, [heads, heads])),
    "[linear] every axis must be listed once; given heads twice",
  );
});

test("rmsNorm", () => {
  const norm = rmsNorm("norm", hidden, 1e-6);
  assert.equal(leafOf(norm).attributes, { axis: "hidden", epsilon: 1e-6 });
  assert.equal(shapes(norm), ["weight hidden ones"]);
  assert.is(
    complaint(() => rmsNorm("norm", hidden, 0)),
    "[rmsNorm] epsilon must lie between 0 and 1; given 0",
  );
});

test("rope asks for positions", () => {
  const { attributes, sideInputs, parameters } = leafOf(rope(headDim, 1e6));
  assert.equal(attributes, { axis: "headDim", theta: 1e6, sequence: "seq" });
  assert.equal(sideInputs, [{ kind: "position", axis: "seq" }]);
  assert.equal(parameters, []);
  assert.equal(leafOf(rope(headDim, 1e4, { sequence: "time" })).sideInputs, [
    { kind: "position", axis: "time" },
  ]);
  assert.is(
    complaint(() => rope(axis("headDim", 7), 1e6)),
    "[rope] headDim must have an even fixed size; given 7; choose an even size",
  );
  assert.is(
    complaint(() => rope(headDim, Number.NaN)),
    "[rope] theta must be a positive number; given NaN",
  );
});

test("attend", () => {
  const { attributes, sideInputs } = leafOf(attend({ heads, kvHeads, headDim, causal: true }));
  assert.equal(attributes, {
    heads: "heads",
    kvHeads: "kvHeads",
    headDim: "headDim",
    causal: true,
    scale: 0.25,
    sequence: "seq",
  });
  assert.equal(sideInputs, [{ kind: "position", axis: "seq" }]);
  assert.is(leafOf(attend({ heads, kvHeads, headDim, causal: false, scale: 2 })).attributes.scale, 2);
  assert.is(
    complaint(() => attend({ heads, kvHeads: axis("kvHeads", 3), headDim, causal: true })),
    "[attend] heads must be divisible by kvHeads; given 4 and 3",
  );
});

test("embedding", () => {
  const embed = embedding("model.embed_tokens", vocab, hidden);
  assert.equal(leafOf(embed).attributes, { axis: "vocab" });
  assert.equal(shapes(embed), ["weight vocab hidden normal"]);
});

test("reductions and elementwise blocks", () => {
  const ops = [
    silu,
    softmax(hidden),
    sum(hidden),
    largest(hidden),
    topK(hidden, axis("best", 5)),
    exp,
    maximum,
    minimum,
  ].map((block) => {
    const { op, label, attributes } = leafOf(block);
    return `${op} ${label} ${JSON.stringify(attributes)}`;
  });
  assert.equal(ops, [
    "silu silu {}",
    'softmax softmax {"axis":"hidden"}',
    'reduceSum reduceSum {"axis":"hidden"}',
    'reduceMax reduceMax {"axis":"hidden"}',
    'topK topK {"axis":"hidden","into":"best","count":5}',
    "exp exp {}",
    "max maximum {}",
    "min minimum {}",
  ]);
});

test.run();
