/** The smallest use of each op, which the op reference shows: total over the ops. */
import {
  binaryFunctions,
  type GraphBuilder,
  type NodeId,
  type OpAttributes,
  type OpName,
  unaryFunctions,
} from "@weft/dsl";

/** Adds inputs and the op, and gives the op's node. */
export type OpExample = (builder: GraphBuilder) => NodeId;

type Axes = OpAttributes["input"]["axes"];
const seq = { name: "seq", size: { symbol: "seq", max: 512 } };
const hidden = { name: "hidden", size: 64 };
const wide = { name: "wide", size: 160 };
const heads = { name: "heads", size: 4 };
const kvHeads = { name: "kvHeads", size: 2 };
const headDim = { name: "headDim", size: 16 };
const vocab = { name: "vocab", size: 320 };
const classes = { name: "classes", size: 320 };
const attention = {
  heads: "heads",
  kvHeads: "kvHeads",
  headDim: "headDim",
  causal: true,
  scale: 0.25,
  sequence: "seq",
};

function floats(builder: GraphBuilder, name: string, axes: Axes, dtype: "f32" | "bf16" = "f32"): NodeId {
  return builder.add("input", [], { name, dtype, axes });
}

const scalar = (builder: GraphBuilder, name: string) => floats(builder, name, []);

function indices(builder: GraphBuilder, name: string): NodeId {
  return builder.add("input", [], { name, dtype: "i32", axes: [seq] });
}

/** Queries under the first name, keys and values under the others. */
function queriesAndKeys(builder: GraphBuilder, query: string, ...others: readonly string[]): NodeId[] {
  const queries = floats(builder, query, [seq, heads, headDim]);
  return [queries, ...others.map((name) => floats(builder, name, [seq, kvHeads, headDim]))];
}

const each = <K extends OpName>(names: readonly K[], example: (name: K) => OpExample) =>
  Object.fromEntries(names.map((name) => [name, example(name)])) as { readonly [P in K]: OpExample };

const cache = (size: OpAttributes["input"]["axes"][number]["size"]) => [
  kvHeads,
  { name: "keys", size },
  headDim,
];

export const opExamples: { readonly [K in OpName]: OpExample } = {
  ...each(unaryFunctions, (name) => (b) => b.add(name, [floats(b, "x", [seq, hidden])], {})),
  ...each(binaryFunctions, (name) => (b) => {
    return b.add(name, [floats(b, "a", [seq, hidden]), floats(b, "b", [hidden])], {});
  }),
  input: (b) => floats(b, "x", [seq, hidden]),
  parameter: (b) => b.add("parameter", [], { name: "norm.weight", dtype: "bf16", axes: [hidden] }),
  constant: (b) => b.constant(0.5),
  iota: (b) => b.add("iota", [], { axis: seq }),
  symbol: (b) => {
    b.declareSymbol({ name: "seq", max: 512 });
    return b.add("symbol", [], { name: "seq" });
  },
  position: (b) => b.add("position", [], { axis: seq }),
  stateRead: (b) => {
    b.declareState({ name: "moment", type: { dtype: "f32", axes: [wide, hidden] } });
    return b.add("stateRead", [], { state: "moment", dtype: "f32", axes: [wide, hidden] });
  },
  stateWrite: (b) => {
    b.declareState({ name: "moment", type: { dtype: "f32", axes: [wide, hidden] } });
    return b.add("stateWrite", [floats(b, "x", [wide, hidden])], { state: "moment" });
  },
  stateAppend: (b) => {
    const capacity = 2048;
    b.declareSymbol({ name: "seq", max: 512 });
    b.declareSymbol({ name: "past", max: capacity - 1 });
    b.declareSymbol({ name: "keys", max: capacity, sum: ["past", "seq"] });
    b.declareState({ name: "cache", type: { dtype: "f32", axes: cache(capacity) } });
    return b.add("stateAppend", [floats(b, "x", [seq, kvHeads, headDim])], {
      state: "cache",
      axis: "seq",
      into: "keys",
      past: "past",
      axes: cache({ symbol: "keys", max: capacity }),
      dtype: "f32",
    });
  },
  select: (b) => {
    const [x, y] = [floats(b, "a", [seq, hidden]), floats(b, "b", [seq, hidden])];
    return b.add(
      "select",
      [b.add("input", [], { name: "condition", dtype: "bool", axes: [seq, hidden] }), x, y],
      {},
    );
  },
  cast: (b) => b.add("cast", [floats(b, "x", [seq, hidden])], { dtype: "bf16" }),
  stochasticRound: (b) => {
    const key = ["keyLow", "keyHigh", "stream"].map((name) => scalar(b, name));
    return b.add("stochasticRound", [floats(b, "x", [wide, hidden]), ...key], {});
  },
  quantizeNvfp4: (b) =>
    b.add("quantizeNvfp4", [floats(b, "x", [wide, hidden]), scalar(b, "encodeScale")], {
      fourOverSix: false,
      nonZero: false,
    }),
  reduceSum: (b) => b.add("reduceSum", [floats(b, "x", [seq, hidden])], { axis: "hidden" }),
  reduceMax: (b) => b.add("reduceMax", [floats(b, "x", [seq, hidden])], { axis: "hidden" }),
  topK: (b) =>
    b.add("topK", [floats(b, "x", [seq, classes])], { axis: "classes", into: "candidate", count: 8 }),
  dot: (b) =>
    b.add("dot", [floats(b, "a", [seq, hidden]), floats(b, "b", [wide, hidden])], { contract: ["hidden"] }),
  gather: (b) => {
    return b.add("gather", [floats(b, "table", [vocab, hidden]), indices(b, "indices")], { axis: "vocab" });
  },
  scatterAdd: (b) =>
    b.add("scatterAdd", [floats(b, "updates", [seq, hidden]), indices(b, "indices")], { axis: vocab }),
  rename: (b) => b.add("rename", [floats(b, "x", [seq, hidden])], { from: "hidden", to: "features" }),
  splitAxis: (b) =>
    b.add("splitAxis", [floats(b, "x", [seq, hidden])], { axis: "hidden", into: [heads, headDim] }),
  mergeAxes: (b) =>
    b.add("mergeAxes", [floats(b, "x", [seq, heads, headDim])], {
      axes: ["heads", "headDim"],
      into: "hidden",
    }),
  slice: (b) => b.add("slice", [floats(b, "x", [seq, hidden])], { axis: "hidden", start: 16, size: 32 }),
  concat: (b) =>
    b.add("concat", [floats(b, "a", [seq, hidden]), floats(b, "b", [seq, hidden])], { axis: "hidden" }),
  last: (b) => b.add("last", [floats(b, "x", [seq, hidden])], { axis: "seq" }),
  broadcast: (b) => b.add("broadcast", [floats(b, "x", [hidden])], { axes: [seq, hidden] }),
  after: (b) => b.add("after", [floats(b, "x", [seq, hidden]), floats(b, "before", [seq])], {}),
  linear: (b) => {
    const weights = [floats(b, "weight", [wide, hidden]), floats(b, "bias", [wide])];
    return b.add("linear", [floats(b, "x", [seq, hidden]), ...weights], { from: ["hidden"], to: ["wide"] });
  },
  embedding: (b) =>
    b.add("embedding", [indices(b, "indices"), floats(b, "weight", [vocab, hidden], "bf16")], {
      axis: "vocab",
    }),
  rmsNorm: (b) =>
    b.add("rmsNorm", [floats(b, "x", [seq, hidden]), floats(b, "weight", [hidden])], {
      axis: "hidden",
      epsilon: 1e-6,
    }),
  softmax: (b) => b.add("softmax", [floats(b, "x", [seq, hidden])], { axis: "hidden" }),
  mean: (b) => b.add("mean", [floats(b, "x", [seq, hidden])], { axis: "seq" }),
  silu: (b) => b.add("silu", [floats(b, "x", [seq, hidden])], {}),
  rope: (b) => {
    const x = floats(b, "x", [seq, headDim]);
    return b.add("rope", [x, indices(b, "position")], { axis: "headDim", theta: 10000, sequence: "seq" });
  },
  attend: (b) => b.add("attend", [...queriesAndKeys(b, "q", "k", "v"), indices(b, "index")], attention),
  attendLogSumExp: (b) =>
    b.add("attendLogSumExp", [...queriesAndKeys(b, "q", "k"), indices(b, "index")], attention),
  attendGradient: (b) => {
    const operands = [...queriesAndKeys(b, "q", "k", "v"), indices(b, "index")];
    const [result] = queriesAndKeys(b, "result");
    const logSumExp = floats(b, "logSumExp", [seq, heads]);
    const [cotangent] = queriesAndKeys(b, "cotangent");
    return b.add("attendGradient", [...operands, result!, logSumExp, cotangent!], attention);
  },
  crossEntropy: (b) =>
    b.add("crossEntropy", [floats(b, "logits", [seq, classes]), indices(b, "targets")], { axis: "classes" }),
  crossEntropyGradient: (b) => {
    const given = [floats(b, "logits", [seq, classes]), indices(b, "targets"), floats(b, "cotangent", [seq])];
    return b.add("crossEntropyGradient", given, { axis: "classes" });
  },
  meanCrossEntropy: (b) =>
    b.add("meanCrossEntropy", [floats(b, "logits", [seq, classes]), indices(b, "targets")], {
      axis: "classes",
      over: ["seq"],
    }),
  pointwise: (b) =>
    b.add("pointwise", [floats(b, "x", [seq, hidden])], {
      name: "twice",
      expression: {
        tag: "binary",
        function: "mul",
        left: { tag: "argument", index: 0 },
        right: { tag: "constant", value: 2 },
      },
    }),
};
