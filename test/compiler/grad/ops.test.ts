/**
 * The derivative of every op, against central differences in double precision. The table is total over the op names: each
 * op is tried, or its stop is asserted with the reason.
 */
import { assertGradients, gradientsOf, randomNumbers, withLoss } from "@weft/compiler/testing";
import {
  type Dtype,
  elementCount,
  GraphBuilder,
  isFloat,
  type OpAttributes,
  type OpDefinition,
  type OpName,
  opNames,
  opTable,
  sizeFor,
  type TensorArray,
} from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { typeOf } from "../../support/run-op.ts";

const test = suite("derivatives of the ops");

/** An input: a type, and what values it has. Floats are parameters, the rest is given. */
interface Given {
  readonly type: string;
  readonly low: number;
  readonly high: number;
  readonly values?: readonly number[];
}
interface Trial<K extends OpName> {
  readonly inputs: readonly Given[];
  readonly attributes: OpAttributes[K];
}
type Expectation<K extends OpName> =
  | readonly Trial<K>[]
  | { readonly stop: string }
  | { readonly missing: string };

const float = (type: string, low = -2, high = 2): Given => ({ type, low, high });
const ints = (type: string, values: readonly number[]): Given => ({ type, low: 0, high: 0, values });
const truth = (type: string, values: readonly number[]): Given => ({ type, low: 0, high: 0, values });

/** Trials of ops without attributes. */
type PlainTrials = readonly { readonly inputs: readonly Given[]; readonly attributes: object }[];

const one = (low = -2, high = 2): PlainTrials => [
  { inputs: [float("f32[s=seq, a=3]", low, high)], attributes: {} },
];
/** Same axes, axes in another order, one side broadcast along axes of the other, and both along each other's. */
const pairs = (left: readonly [number, number] = [-2, 2], right = left): PlainTrials =>
  [
    ["f32[a=2, b=3]", "f32[a=2, b=3]"],
    ["f32[a=2, b=3]", "f32[b=3, a=2]"],
    ["f32[a=2, s=seq]", "f32[s=seq]"],
    ["f32[]", "f32[s=seq, a=2]"],
    ["f32[a=2]", "f32[b=3]"],
  ].map(([a, b]) => ({ inputs: [float(a!, ...left), float(b!, ...right)], attributes: {} }));

const from = { stop: "a value from outside the graph: nothing stands behind it" };
const integer = { stop: "its result is integer" };
const truthValue = { stop: "its result is a truth value" };

const heads = { heads: "h", kvHeads: "k", headDim: "d", sequence: "s", scale: 0.7 };
const q = float("f32[s=seq, h=4, d=2]");
const kv = float("f32[s=seq, k=2, d=2]");
const index = ints("i32[s=seq]", [0, 1, 2]);
const starts = ints("i32[s=seq]", [0, 1, 1]);
const attentionTrials = (inputs: (q: Given, k: Given) => readonly Given[]) => [
  { inputs: [...inputs(q, kv), index], attributes: { ...heads, causal: true } },
  { inputs: [...inputs(q, kv), index], attributes: { ...heads, causal: false } },
  // Axes of the keys in another order, one head for each key head.
  {
    inputs: [...inputs(float("f32[h=2, s=seq, d=2]"), float("f32[k=2, d=2, s=seq]")), index],
    attributes: { ...heads, causal: true },
  },
  // A batch that the keys do not have.
  {
    inputs: [...inputs(float("f32[b=2, s=seq, h=4, d=2]"), kv), index],
    attributes: { ...heads, causal: true },
  },
];
const gradientInputs = [q, kv, kv, index, q, float("f32[s=seq, h=4]", 2, 3), q];

const logits = float("f32[s=seq, v=4]", -5, 5);
const targets = ints("i32[s=seq]", [3, -1, 0]);

const expectations: { readonly [K in OpName]: Expectation<K> } = {
  input: from,
  parameter: from,
  stateRead: from,
  constant: { stop: "a number of the model's own" },
  iota: integer,
  symbol: integer,
  position: integer,
  // Its trial needs a declared state: below.
  stateWrite: [],
  stateAppend: { missing: "a cache is for generation: train without kvCache" },
  neg: one(),
  abs: one(0.5, 2),
  exp: one(),
  log: one(0.5, 3),
  sqrt: one(0.5, 3),
  rsqrt: one(0.5, 3),
  reciprocal: one(0.5, 3),
  sin: one(),
  cos: one(),
  tanh: one(),
  sigmoid: one(),
  floor: { stop: "it is constant between whole numbers" },
  add: pairs(),
  sub: pairs(),
  mul: pairs(),
  div: pairs([-2, 2], [0.5, 2]),
  max: pairs(),
  min: pairs(),
  pow: pairs([0.5, 2], [-2, 2]),
  less: truthValue,
  lessEqual: truthValue,
  equal: truthValue,
  select: [
    {
      inputs: [truth("bool[s=seq]", [1, 0, 1]), float("f32[s=seq, a=2]"), float("f32[a=2]")],
      attributes: {},
    },
  ],
  stochasticRound: {
    stop: "an update's result is rounded, and nothing is differentiated through an update",
  },
  // Its gradient is not that of its steps: test/compiler/passes/quantize.test.ts.
  quantizeNvfp4: [],
  cast: [{ inputs: [float("f32[s=seq, a=2]")], attributes: { dtype: "f32" } }],
  reduceSum: [
    { inputs: [float("f32[a=2, s=seq, b=3]")], attributes: { axis: "s" } },
    { inputs: [float("f32[a=2, b=3]")], attributes: { axis: "a" } },
  ],
  reduceMax: [{ inputs: [float("f32[a=2, s=seq, b=3]")], attributes: { axis: "s" } }],
  topK: [{ inputs: [float("f32[s=seq, a=5]")], attributes: { axis: "a", into: "kept", count: 2 } }],
  dot: [
    { inputs: [float("f32[s=seq, a=3]"), float("f32[b=2, a=3]")], attributes: { contract: ["a"] } },
    // A batch that both keep, and nothing of one side's own.
    { inputs: [float("f32[b=2, s=seq, a=3]"), float("f32[a=3, b=2]")], attributes: { contract: ["a"] } },
    { inputs: [float("f32[a=3, s=seq]"), float("f32[s=seq, a=3]")], attributes: { contract: ["s", "a"] } },
  ],
  gather: [
    {
      inputs: [float("f32[b=2, v=4, a=3]"), ints("i32[s=seq]", [3, 0, 3])],
      attributes: { axis: "v" },
    },
  ],
  scatterAdd: [
    {
      inputs: [float("f32[a=2, s=seq, b=3]"), ints("i32[s=seq]", [3, 0, 3])],
      attributes: { axis: { name: "v", size: 5 } },
    },
  ],
  rename: [{ inputs: [float("f32[s=seq, a=2]")], attributes: { from: "s", to: "t" } }],
  splitAxis: [
    {
      inputs: [float("f32[s=seq, a=6]")],
      attributes: {
        axis: "a",
        into: [
          { name: "b", size: 2 },
          { name: "c", size: 3 },
        ],
      },
    },
  ],
  mergeAxes: [{ inputs: [float("f32[s=seq, a=2, b=3]")], attributes: { axes: ["a", "b"], into: "c" } }],
  slice: [
    { inputs: [float("f32[a=5, s=seq]")], attributes: { axis: "a", start: 1, size: 3 } },
    { inputs: [float("f32[a=5, s=seq]")], attributes: { axis: "a", start: 0, size: 5 } },
    { inputs: [float("f32[a=5, s=seq]")], attributes: { axis: "a", start: 4, size: 1 } },
  ],
  concat: [{ inputs: [float("f32[s=seq, a=2]"), float("f32[s=seq, a=3]")], attributes: { axis: "a" } }],
  after: [{ inputs: [float("f32[s=seq, a=2]"), float("f32[b=2]")], attributes: {} }],
  last: [
    { inputs: [float("f32[s=seq, a=2]")], attributes: { axis: "s" } },
    { inputs: [float("f32[a=2, b=3]")], attributes: { axis: "b" } },
  ],
  broadcast: [
    {
      inputs: [float("f32[a=2, b=3]")],
      attributes: { axes: [{ name: "b", size: 3 }, typeOf("f32[s=seq]").axes[0]!, { name: "a", size: 2 }] },
    },
  ],
  linear: [
    {
      inputs: [float("f32[s=seq, a=2, b=3]"), float("f32[c=4, a=2, b=3]"), float("f32[c=4]")],
      attributes: { from: ["a", "b"], to: ["c"] },
    },
    { inputs: [float("f32[s=seq, a=2]"), float("f32[a=3, a'=2]")], attributes: { from: ["a"], to: ["a"] } },
    { inputs: [float("f32[a=2]"), float("f32[b=3, a=2]")], attributes: { from: ["a"], to: ["b"] } },
    { inputs: [float("f32[s=seq, a=2]"), float("f32[a=2]")], attributes: { from: ["a"], to: [] } },
  ],
  embedding: [{ inputs: [ints("i32[s=seq]", [3, 0, 3]), float("f32[a=2, v=4]")], attributes: { axis: "v" } }],
  rmsNorm: [
    {
      inputs: [float("f32[s=seq, a=3, b=2]"), float("f32[a=3]")],
      attributes: { axis: "a", epsilon: 1e-2 },
    },
  ],
  softmax: [{ inputs: [float("f32[a=2, s=seq]")], attributes: { axis: "s" } }],
  mean: [
    { inputs: [float("f32[a=2, s=seq]")], attributes: { axis: "s" } },
    { inputs: [float("f32[a=2, s=seq]")], attributes: { axis: "a" } },
  ],
  silu: one(),
  rope: [
    {
      inputs: [float("f32[s=seq, h=2, d=4]"), ints("i32[s=seq]", [0, 1, 7])],
      attributes: { axis: "d", theta: 100, sequence: "s" },
    },
  ],
  attend: [
    ...attentionTrials((query, key) => [query, key, key]),
    { inputs: [q, kv, kv, index, starts], attributes: { ...heads, causal: true } },
    // Heads under one name on both sides.
    {
      inputs: [
        float("f32[s=seq, h=2, d=2]"),
        float("f32[s=seq, h=2, d=2]"),
        float("f32[s=seq, h=2, d=2]"),
        index,
      ],
      attributes: { ...heads, kvHeads: "h", causal: true },
    },
  ],
  attendLogSumExp: [
    ...attentionTrials((query, key) => [query, key]),
    { inputs: [q, kv, index, starts], attributes: { ...heads, causal: true } },
  ],
  attendGradient: [
    { inputs: gradientInputs, attributes: { ...heads, causal: true } },
    { inputs: [...gradientInputs, starts], attributes: { ...heads, causal: true } },
  ],
  crossEntropy: [
    { inputs: [logits, targets], attributes: { axis: "v" } },
    { inputs: [float("f32[v=4, s=seq]", -5, 5), targets], attributes: { axis: "v" } },
  ],
  crossEntropyGradient: [{ inputs: [logits, targets, float("f32[s=seq]")], attributes: { axis: "v" } }],
  meanCrossEntropy: [
    { inputs: [logits, targets], attributes: { axis: "v", over: ["s"] } },
    {
      inputs: [float("f32[b=2, s=seq, v=4]"), ints("i32[b=2, s=seq]", [3, -1, 0, 1, -1, -1])],
      attributes: { axis: "v", over: ["s", "b"] },
    },
  ],
  pointwise: [
    {
      inputs: [float("f32[s=seq, a=2]"), float("f32[a=2]")],
      attributes: {
        name: "gated",
        expression: {
          tag: "binary",
          function: "mul",
          left: { tag: "unary", function: "tanh", operand: { tag: "argument", index: 0 } },
          right: { tag: "argument", index: 1 },
        },
      },
    },
  ],
};

const symbols = new Map([["seq", 3]]);

function build<K extends OpName>(op: K, { inputs, attributes }: Trial<K>, dtypes: readonly Dtype[] = []) {
  const next = randomNumbers(inputs.length);
  const builder = new GraphBuilder();
  const given = new Map<string, TensorArray>();
  const weights = new Map<string, TensorArray>();
  const ids = inputs.map(({ type: text, low, high, values }, at) => {
    const type = { ...typeOf(text), dtype: dtypes[at] ?? typeOf(text).dtype };
    const name = `x${at}`;
    const axes = type.axes.map((one) => ({ name: one.name, size: sizeFor(one.size, symbols) }));
    const data = Float64Array.from(
      values ?? Array.from({ length: elementCount(axes) }, () => low + next() * (high - low)),
    );
    const array: TensorArray = { dtype: type.dtype, axes, data };
    (isFloat(type.dtype) ? weights : given).set(name, array);
    return builder.add(isFloat(type.dtype) ? "parameter" : "input", [], { name, ...type });
  });
  builder.declareSymbol({ name: "seq", max: 8 });
  const graph = builder.finish(op, [{ name: "y", node: builder.add(op, ids, attributes) }]);
  return { graph: withLoss(graph), point: { symbols, inputs: given, weights } };
}

for (const op of opNames) {
  const expectation = expectations[op] as Expectation<OpName>;
  const { vjp, meaning } = opTable[op] as unknown as OpDefinition;
  if ("stop" in expectation || "missing" in expectation) {
    test(`${op}: nothing goes back, and why`, () => {
      const [tag, reason] = Object.entries(expectation)[0]! as ["stop", string];
      assert.equal(vjp, { tag, reason });
    });
    continue;
  }
  test(op, () => {
    assert.ok(vjp.tag === "rule" || (vjp.tag === "definition" && meaning.tag === "definition"));
    for (const trial of expectation as readonly Trial<OpName>[]) {
      const { graph, point } = build(op, trial);
      assert.ok(assertGradients(graph, point) > 0, "no derivative was other than 0");
    }
  });
}

test("a value on its way into a state hands its cotangent on", () => {
  const builder = new GraphBuilder();
  const type = { dtype: "f32", axes: [{ name: "a", size: 3 }] } as const;
  builder.declareState({ name: "kept", type });
  const x = builder.add("parameter", [], { name: "x", ...type });
  const written = builder.add("stateWrite", [x], { state: "kept" });
  const graph = withLoss(builder.finish("write", [{ name: "y", node: written }]));
  const array: TensorArray = { dtype: "f32", axes: [{ name: "a", size: 3 }], data: Float64Array.of(1, 2, 3) };
  assert.ok(assertGradients(graph, { inputs: new Map(), weights: new Map([["x", array]]) }) === 3);
});

test("derivatives of narrow operands are f32: nothing is rounded on the way back", () => {
  const trials: readonly [OpName, Trial<OpName>][] = [
    ["mul", (expectations.mul as readonly Trial<"mul">[])[2]!],
    ["dot", (expectations.dot as readonly Trial<"dot">[])[0]!],
    ["linear", (expectations.linear as readonly Trial<"linear">[])[0]!],
    ["rmsNorm", (expectations.rmsNorm as readonly Trial<"rmsNorm">[])[0]!],
    ["embedding", (expectations.embedding as readonly Trial<"embedding">[])[0]!],
    ["attend", (expectations.attend as readonly Trial<"attend">[])[0]!],
  ];
  for (const [op, trial] of trials) {
    const dtypes = trial.inputs.map((given) => (given.type.startsWith("f32") ? "bf16" : "i32")) as Dtype[];
    const { graph, point } = build(op, trial, dtypes);
    for (const gradient of gradientsOf(graph, point).values()) assert.is(gradient.dtype, "f32", op);
  }
});

test("rounding counts as the identity", () => {
  const trial: Trial<"cast"> = {
    inputs: [{ ...float("f32[a=3]"), values: [1 / 3, 2 / 3, 1 / 7] }],
    attributes: { dtype: "bf16" },
  };
  const { graph, point } = build("cast", trial);
  const gradient = gradientsOf(graph, point).get("x0")!;
  const rounded = [0.333984375, 0.66796875, 0.142578125];
  assert.ok(rounded.every((value, at) => Math.abs(gradient.data[at]! - value * Math.cos(at)) < 1e-12));
});

test("at a kink: equal ones share, and |x| stands still", () => {
  const tie = (op: "max" | "min", values: readonly number[]) => {
    const inputs = values.map((value) => ({ ...float("f32[]"), values: [value] }));
    const { graph, point } = build(op, { inputs, attributes: {} });
    return [...gradientsOf(graph, point).values()].map(({ data }) => data[0]);
  };
  assert.equal(tie("max", [3, 3]), [1.5, 1.5]);
  assert.equal(tie("min", [3, 3]), [1.5, 1.5]);
  assert.equal(tie("max", [3, 2]), [3, 0]);
  assert.equal(tie("min", [3, 2]), [0, 2]);
  const many = build("reduceMax", {
    inputs: [{ ...float("f32[a=3]"), values: [2, 2, 1] }],
    attributes: { axis: "a" },
  });
  assert.equal([...gradientsOf(many.graph, many.point).get("x0")!.data], [1, 1, 0]);
  const still = build("abs", { inputs: [{ ...float("f32[a=1]"), values: [0] }], attributes: {} });
  assert.equal([...gradientsOf(still.graph, still.point).get("x0")!.data], [0]);
});

test("powers of zero and of negative numbers have no NaN in their derivatives", () => {
  const power = (base: number, exponent: number) => {
    const inputs = [base, exponent].map((value) => ({ ...float("f32[]"), values: [value] }));
    const { graph, point } = build("pow", { inputs, attributes: {} });
    return gradientsOf(graph, point).get("x0")!.data[0]!;
  };
  assert.is(power(0, 0), 0);
  assert.is(power(0, 2), 0);
  // (x^3)^2 / 2 at -2.
  assert.is(power(-2, 3), -96);
});

test.run();
