/** The type rules: the sentence of every refusal, and that the table is complete and consistent. */
import { axis, formatType, type OpDefinition, opNames, opTable } from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { ruleOf } from "../../support/run-op.ts";

const test = suite("type rules");

test("the table names every op by its own name and documents it", () => {
  for (const name of opNames) {
    const {
      name: own,
      documentation,
      arity,
      cost,
      meaning,
      category,
      fusion,
    } = opTable[name] as unknown as OpDefinition;
    assert.is(own, name);
    assert.ok(documentation.summary.length > 0 && documentation.result.length > 0, name);
    assert.not.match(documentation.summary, /\.$/, name);
    assert.ok(arity.min <= arity.max, name);
    if (arity.max < 64) assert.ok(documentation.inputs.length >= Math.min(1, arity.min), name);
    assert.ok(cost.perInput >= 0 && cost.perResult >= 0, name);
    assert.is(meaning.tag === "definition", category === "composite", name);
    if (category === "pointwise") assert.is(fusion, "map");
  }
});

const keys = "f32[s=seq, k=2, d=4]";
const attentionNames = {
  heads: "h",
  kvHeads: "k",
  headDim: "d",
  sequence: "s",
  causal: true,
  scale: 1,
};

const refusals: readonly [what: string, given: string | object, sentence: string][] = [
  ["exp of integers", ruleOf("exp", ["i32[a=2]"], {}), "takes a float tensor"],
  ["add of two dtypes", ruleOf("add", ["f32[a=2]", "bf16[a=2]"], {}), "both sides must have one dtype"],
  [
    "add of two sizes",
    ruleOf("add", ["f32[a=2]", "f32[a=3]"], {}),
    'axis "a" must have one size; given a=2 and a=3',
  ],
  ["add of bool", ruleOf("add", ["bool[]", "bool[]"], {}), "takes numbers, not bool"],
  ["add of one", ruleOf("add", ["f32[]"], {}), "takes 2 inputs"],
  ["linear of one", ruleOf("linear", ["f32[]"], { from: [], to: [] }), "takes 2 to 3 inputs"],
  ["select by a number", ruleOf("select", ["f32[]", "f32[]", "f32[]"], {}), "the condition must be bool"],
  [
    "select of two dtypes",
    ruleOf("select", ["bool[]", "f32[]", "i32[]"], {}),
    "both branches must have one dtype",
  ],
  [
    "sum along a strange axis",
    ruleOf("reduceSum", ["f32[a=2, s=seq]"], { axis: "b" }),
    'needs an axis "b" in f32[a=2, s=seq<=8]',
  ],
  ["sum of integers", ruleOf("reduceSum", ["i32[a=2]"], { axis: "a" }), "takes a float tensor"],
  [
    "dot along nothing",
    ruleOf("dot", ["f32[a=2]", "f32[a=2]"], { contract: [] }),
    "needs at least one axis to contract",
  ],
  [
    "dot along one axis twice",
    ruleOf("dot", ["f32[a=2]", "f32[a=2]"], { contract: ["a", "a"] }),
    "must contract each axis once",
  ],
  [
    "dot along a missing axis",
    ruleOf("dot", ["f32[a=2]", "f32[b=2]"], { contract: ["a"] }),
    'needs an axis "a" in f32[b=2]',
  ],
  [
    "dot of two sizes",
    ruleOf("dot", ["f32[a=2]", "f32[a=3]"], { contract: ["a"] }),
    'axis "a" must have one size on both sides',
  ],
  [
    "dot of two batches",
    ruleOf("dot", ["f32[a=2, b=2]", "f32[a=2, b=3]"], { contract: ["a"] }),
    'axis "b" must have one size on both sides',
  ],
  ["gather by floats", ruleOf("gather", ["f32[a=2]", "f32[]"], { axis: "a" }), "the indices must be i32"],
  [
    "gather of a shared axis",
    ruleOf("gather", ["f32[a=2, b=2]", "i32[b=2]"], { axis: "a" }),
    'axis "b" must not be in both inputs',
  ],
  [
    "rename to a taken name",
    ruleOf("rename", ["f32[a=2, b=2]"], { from: "a", to: "b" }),
    'axis "b" must not stand twice in the result',
  ],
  [
    "split to another size",
    ruleOf("splitAxis", ["f32[a=6]"], { axis: "a", into: [axis("b", 4), axis("c", 2)] }),
    'the parts of "a" must multiply to 6, not 8',
  ],
  [
    "split of a symbol",
    ruleOf("splitAxis", ["f32[a=seq]"], { axis: "a", into: [axis("b", 8)] }),
    "an axis of symbolic size cannot be split",
  ],
  [
    "merge of strangers",
    ruleOf("mergeAxes", ["f32[a=2, b=2, c=2]"], { axes: ["a", "c"], into: "d" }),
    "needs the neighbouring axes [a, c]",
  ],
  [
    "slice beyond the end",
    ruleOf("slice", ["f32[a=4]"], { axis: "a", start: 2, size: 3 }),
    'the slice 2..5 must lie in "a" of size 4',
  ],
  [
    "slice of a symbol",
    ruleOf("slice", ["f32[a=seq]"], { axis: "a", start: 0, size: 1 }),
    'the axis "a" has a symbolic size; take its `last` instead',
  ],
  [
    "concat of unlike ones",
    ruleOf("concat", ["f32[a=2, b=2]", "f32[a=2, b=3]"], { axis: "a" }),
    'the inputs must agree in everything but the size of "a"',
  ],
  [
    "linear with another weight",
    ruleOf("linear", ["f32[s=seq, a=2]", "f32[a=2, b=3]"], { from: ["a"], to: ["b"] }),
    "the weight must have the axes [b, a]; given f32[a=2, b=3]",
  ],
  [
    "linear with another size",
    ruleOf("linear", ["f32[a=2]", "f32[b=3, a=4]"], { from: ["a"], to: ["b"] }),
    'axis "a" must have one size in x and in the weight; given 2 and 4',
  ],
  [
    "linear to a taken name",
    ruleOf("linear", ["f32[b=3, a=2]", "f32[b=3, a=2]"], { from: ["a"], to: ["b"] }),
    'axis "b" must not stand twice in the result',
  ],
  [
    "linear with another bias",
    ruleOf("linear", ["f32[a=2]", "f32[b=3, a=2]", "f32[b=2]"], { from: ["a"], to: ["b"] }),
    "the bias must have the axes [b] of the weight; given f32[b=2]",
  ],
  [
    "rmsNorm of a symbol",
    ruleOf("rmsNorm", ["f32[a=seq]", "f32[a=seq]"], { axis: "a", epsilon: 1e-6 }),
    'the size of "a" must be fixed',
  ],
  [
    "rmsNorm with a strange weight",
    ruleOf("rmsNorm", ["f32[a=2, b=3]", "f32[b=3]"], { axis: "a", epsilon: 1e-6 }),
    "the weight must have the axis [a]",
  ],
  [
    "rmsNorm without epsilon",
    ruleOf("rmsNorm", ["f32[a=2]", "f32[a=2]"], { axis: "a", epsilon: 0 }),
    "epsilon must be above 0; given 0",
  ],
  ["softmax of integers", ruleOf("softmax", ["i32[a=2]"], { axis: "a" }), "takes a float tensor"],
  [
    "rope of an odd size",
    ruleOf("rope", ["f32[s=seq, d=3]", "i32[s=seq]"], { axis: "d", theta: 1e4, sequence: "s" }),
    'the size of "d" must be even',
  ],
  [
    "rope of no sequence",
    ruleOf("rope", ["f32[d=4]", "i32[s=seq]"], { axis: "d", theta: 1e4, sequence: "s" }),
    'needs an axis "s" in f32[d=4]',
  ],
  [
    "attend, heads that do not group",
    attend("f32[s=seq, h=3, d=4]", "f32[s=seq, k=2, d=4]"),
    "3 heads must be a multiple of 2 key heads",
  ],
  [
    "attend, headDim not last",
    attend("f32[s=seq, d=4, h=4]", "f32[s=seq, k=2, d=4]"),
    'the last axis of q must be "d"',
  ],
  [
    "attend, two sizes",
    attend("f32[s=seq, h=4, d=4]", "f32[s=seq, k=2, d=8]"),
    'axis "d" must have one size',
  ],
  [
    "attend, a strange batch",
    attend("f32[s=seq, h=4, d=4]", "f32[b=2, s=seq, k=2, d=4]"),
    `the keys' axis "b" must be one of q's, of the same size`,
  ],
  [
    "attend, a taken name",
    attend("f32[group=2, s=seq, h=4, d=4]", "f32[group=2, s=seq, k=2, d=4]"),
    'the axis name "group" must not be taken',
  ],
  [
    "attend, starts without an order",
    ruleOf("attend", ["f32[s=seq, h=4, d=4]", keys, keys, "i32[s=seq]", "i32[s=seq]"], {
      ...attentionNames,
      causal: false,
    }),
    "starts need causal attention: they say only where the visible keys begin",
  ],
  [
    "attend, starts of floats",
    ruleOf("attend", ["f32[s=seq, h=4, d=4]", keys, keys, "i32[s=seq]", "f32[s=seq]"], attentionNames),
    "the starts must be i32",
  ],
  [
    "attend, starts along another axis",
    ruleOf("attend", ["f32[s=seq, h=4, d=4]", keys, keys, "i32[s=seq]", "i32[b=2]"], attentionNames),
    `the starts' axis "b" must be one of q's, of the same size`,
  ],
  [
    "the gradient of attention with another cotangent",
    ruleOf(
      "attendGradient",
      [
        "f32[s=seq, h=4, d=4]",
        keys,
        keys,
        "i32[s=seq]",
        "f32[s=seq, h=4, d=4]",
        "f32[s=seq, h=4]",
        "f32[h=4, s=seq, d=4]",
      ],
      attentionNames,
    ),
    "the cotangent must be f32[s=seq<=8, h=4, d=4]",
  ],
  [
    "scatterAdd of integers",
    ruleOf("scatterAdd", ["i32[s=seq]", "i32[s=seq]"], { axis: axis("v", 4) }),
    "the updates must be a float tensor",
  ],
  [
    "scatterAdd by floats",
    ruleOf("scatterAdd", ["f32[s=seq]", "f32[s=seq]"], { axis: axis("v", 4) }),
    "the indices must be i32",
  ],
  [
    "scatterAdd by other indices",
    ruleOf("scatterAdd", ["f32[s=seq]", "i32[b=2]"], { axis: axis("v", 4) }),
    'needs an axis "b" in f32[s=seq<=8]',
  ],
  [
    "scatterAdd of two sizes",
    ruleOf("scatterAdd", ["f32[b=3]", "i32[b=2]"], { axis: axis("v", 4) }),
    'axis "b" must have one size in both inputs',
  ],
  [
    "scatterAdd to a taken name",
    ruleOf("scatterAdd", ["f32[s=seq, v=2]", "i32[s=seq]"], { axis: axis("v", 4) }),
    'axis "v" must not be in the updates already',
  ],
  [
    "broadcast to less",
    ruleOf("broadcast", ["f32[a=2]"], { axes: [axis("b", 2)] }),
    'the axes must hold the input\'s axis "a"',
  ],
  [
    "broadcast to another size",
    ruleOf("broadcast", ["f32[a=2]"], { axes: [axis("a", 3)] }),
    'axis "a" must keep its size',
  ],
  [
    "broadcast to one axis twice",
    ruleOf("broadcast", ["f32[]"], { axes: [axis("a", 3), axis("a", 3)] }),
    'axis "a" must not stand twice in the result',
  ],
  ["mean of integers", ruleOf("mean", ["i32[a=2]"], { axis: "a" }), "takes a float tensor"],
  ["mean along a strange axis", ruleOf("mean", ["f32[a=2]"], { axis: "b" }), 'needs an axis "b" in f32[a=2]'],
  [
    "cross entropy of integers",
    ruleOf("crossEntropy", ["i32[v=4]", "i32[]"], { axis: "v" }),
    "the logits must be a float tensor",
  ],
  [
    "cross entropy with floats as targets",
    ruleOf("crossEntropy", ["f32[v=4]", "f32[]"], { axis: "v" }),
    "the targets must be i32",
  ],
  [
    "cross entropy with targets of other positions",
    ruleOf("crossEntropy", ["f32[s=seq, v=4]", "i32[s=seq, v=4]"], { axis: "v" }),
    "the targets must be i32[s=seq<=8]",
  ],
  [
    "the gradient of cross entropy with another cotangent",
    ruleOf("crossEntropyGradient", ["f32[s=seq, v=4]", "i32[s=seq]", "f32[]"], { axis: "v" }),
    "the cotangent must be f32[s=seq<=8]",
  ],
  [
    "mean cross entropy over nothing",
    ruleOf("meanCrossEntropy", ["f32[s=seq, v=4]", "i32[s=seq]"], { axis: "v", over: [] }),
    "needs one or more axes, each once",
  ],
  [
    "mean cross entropy over the classes",
    ruleOf("meanCrossEntropy", ["f32[s=seq, v=4]", "i32[s=seq]"], { axis: "v", over: ["v"] }),
    'needs an axis "v" in f32[s=seq<=8]',
  ],
  [
    "pointwise of too few",
    ruleOf("pointwise", ["f32[a=2]"], { name: "f", expression: { tag: "argument", index: 1 } }),
    "the function asks for argument 2 of 1",
  ],
];

function attend(q: string, k: string): string | object {
  return ruleOf("attend", [q, k, k, "i32[s=seq]"], attentionNames);
}

test("every refusal is a sentence", () => {
  for (const [what, given, sentence] of refusals) assert.equal(given, sentence, what);
});

test("results keep the order of the axes that the documentation says", () => {
  const type = (result: string | object) =>
    typeof result === "string" ? result : formatType(result as never);
  assert.is(
    type(ruleOf("dot", ["f32[s=seq, h=2, d=4]", "f32[k=3, h=2, d=4]"], { contract: ["d"] })),
    "f32[s=seq<=8, h=2, k=3]",
  );
  assert.is(type(ruleOf("gather", ["bf16[v=9, d=4]", "i32[s=seq]"], { axis: "v" })), "bf16[s=seq<=8, d=4]");
  assert.is(type(ruleOf("last", ["f32[s=seq, d=4]"], { axis: "s" })), "f32[s=1, d=4]");
  assert.is(type(ruleOf("concat", ["i32[a=2]", "i32[a=3]", "i32[a=4]"], { axis: "a" })), "i32[a=9]");
  assert.is(type(ruleOf("silu", ["bf16[a=2]"], {})), "f32[a=2]");
});

test.run();
