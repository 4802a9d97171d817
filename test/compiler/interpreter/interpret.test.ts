/** The interpreter itself: leaves, symbols, state, hooks and errors. What each op computes is tested in test/dsl/ops. */

import { dotArrays, interpret } from "@weft/compiler";
import { axis, GraphBuilder, type TensorArray, WeftError } from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("interpret");

const hidden = axis("hidden", 3);
const seq = axis("seq", { symbol: "seq", max: 8 });

function array(axes: TensorArray["axes"], values: readonly number[]): TensorArray {
  return { dtype: "f32", axes, data: Float64Array.from(values) };
}

/** x [seq, hidden] times weight [out, hidden]. */
function linearGraph() {
  const builder = new GraphBuilder();
  const x = builder.add("input", [], { name: "x", dtype: "f32", axes: [seq, hidden] });
  builder.origin = { path: "model.proj", source: "model.ts:3:7" };
  const weight = builder.add("parameter", [], {
    name: "proj.weight",
    dtype: "f32",
    axes: [axis("out", 2), hidden],
  });
  const y = builder.add("linear", [x, weight], { from: ["hidden"], to: ["out"] });
  return builder.finish("linear", [{ name: "y", node: y }]);
}

const weight = array(
  [
    { name: "out", size: 2 },
    { name: "hidden", size: 3 },
  ],
  [1, 2, 3, 4, 5, 6],
);
const x = array(
  [
    { name: "seq", size: 2 },
    { name: "hidden", size: 3 },
  ],
  [1, 0, -1, 2, 1, 0],
);

function messageOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    assert.instance(error, WeftError);
    return (error as WeftError).message;
  }
  throw new Error("must throw");
}

test("runs a composite by its definition and reads the symbol off the input", () => {
  const outputs = interpret(linearGraph(), { inputs: { x }, parameters: () => weight });
  assert.equal(outputs.get("y"), {
    dtype: "f32",
    axes: [
      { name: "seq", size: 2 },
      { name: "out", size: 2 },
    ],
    data: Float64Array.of(-2, -2, 4, 13),
  });
});

test("reports everything that is missing at once", () => {
  assert.is(
    messageOf(() => interpret(linearGraph(), { symbols: { seq: 2 } })),
    [
      '[input] the input "x" must be given',
      '[parameter] the parameter "proj.weight" must be given; at model.proj (model.ts:3:7)',
    ].join("\n"),
  );
});

test("names a misshapen input with both shapes", () => {
  const run = () =>
    interpret(linearGraph(), { inputs: { x }, parameters: () => weight, symbols: { seq: 3 } });
  assert.is(
    messageOf(run),
    '[input] the input "x" must have the axes [seq=3, hidden=3]; given [seq=2, hidden=3] with 6 values',
  );
});

test("refuses unknown, missing and excessive symbols", () => {
  const graph = linearGraph();
  assert.match(
    messageOf(() => interpret(graph, { symbols: { sequence: 2 } })),
    /must have a symbol "sequence"/,
  );
  assert.match(
    messageOf(() => interpret(graph)),
    /the symbol "seq" must be given a value/,
  );
  assert.match(
    messageOf(() => interpret(graph, { symbols: { seq: 9 } })),
    /an integer from 0 to 8; given 9/,
  );
});

test("names op and path of a value that does not fit", () => {
  const builder = new GraphBuilder();
  builder.origin = { path: "model.embed_tokens" };
  const tokens = builder.add("input", [], { name: "tokens", dtype: "i32", axes: [axis("seq", 1)] });
  const table = builder.add("parameter", [], {
    name: "table",
    dtype: "f32",
    axes: [axis("vocab", 2), axis("hidden", 1)],
  });
  const rows = builder.add("embedding", [tokens, table], { axis: "vocab" });
  const graph = builder.finish("lookup", [{ name: "rows", node: rows }]);
  const parameters = () =>
    array(
      [
        { name: "vocab", size: 2 },
        { name: "hidden", size: 1 },
      ],
      [1, 2],
    );
  const run = () =>
    interpret(graph, { inputs: { tokens: array([{ name: "seq", size: 1 }], [7]) }, parameters });
  assert.is(
    messageOf(run),
    "[gather] an index must be at least 0 and below 2; given 7; at model.embed_tokens",
  );
});

test("appends to a state, rounds as it is stored and gives its valid part", () => {
  const builder = new GraphBuilder();
  const keys = axis("keys", { symbol: "keys", max: 4 });
  builder.declareSymbol({ name: "past", max: 4 });
  builder.declareSymbol({ name: "keys", max: 4, sum: ["past", "seq"] });
  builder.declareState({ name: "cache", type: { dtype: "bf16", axes: [axis("head", 2), keys] } });
  const rows = builder.add("input", [], { name: "rows", dtype: "f32", axes: [seq, axis("head", 2)] });
  const all = builder.add("stateAppend", [rows], {
    state: "cache",
    axis: "seq",
    into: "keys",
    past: "past",
    dtype: "bf16",
    axes: [axis("head", 2), keys],
  });
  const graph = builder.finish("cache", [{ name: "all", node: all }]);
  const state = new Map<string, TensorArray>();
  const step = (past: number, count: number, values: readonly number[]) =>
    interpret(graph, {
      inputs: {
        rows: array(
          [
            { name: "seq", size: count },
            { name: "head", size: 2 },
          ],
          values,
        ),
      },
      symbols: { past },
      state,
    }).get("all")!;
  const first = step(0, 2, [1, 10, 2, 20]);
  assert.equal([...first.data], [1, 2, 10, 20]);
  // 1.001 has no bf16 of its own.
  assert.equal([...step(2, 1, [1.001, 30]).data], [1, 2, 1, 10, 20, 30]);
  assert.equal([...first.data], [1, 2, 10, 20]);
  assert.match(
    messageOf(() => step(3, 2, [0, 0, 0, 0])),
    /"keys" must be an integer from 0 to 4; given 5/,
  );
});

test("reads and writes a state in list order; what was read stays", () => {
  const builder = new GraphBuilder();
  const type = { dtype: "f32", axes: [axis("a", 2)] } as const;
  builder.declareState({ name: "count", type });
  const before = builder.add("stateRead", [], { state: "count", ...type });
  const next = builder.add("add", [before, builder.constant(1)], {});
  const written = builder.add("stateWrite", [next], { state: "count" });
  const after = builder.add("stateRead", [], { state: "count", ...type });
  const graph = builder.finish("counter", [
    { name: "before", node: before },
    { name: "written", node: written },
    { name: "after", node: after },
  ]);
  const state = new Map<string, TensorArray>();
  for (const turn of [0, 1, 2]) {
    const outputs = interpret(graph, { state });
    const values = ["before", "written", "after"].map((name) => [...outputs.get(name)!.data]);
    assert.equal(values, [
      [turn, turn],
      [turn + 1, turn + 1],
      [turn + 1, turn + 1],
    ]);
  }
  assert.equal([...interpret(graph).get("before")!.data], [0, 0]);
  const strange = new Map([["count", array([{ name: "a", size: 3 }], [0, 0, 0])]]);
  assert.is(
    messageOf(() => interpret(graph, { state: strange })),
    '[interpret] the state "count" must have the axes [a=2]; given [a=3]',
  );
});

test("shows every node of the graph as it was given", () => {
  const seen: string[] = [];
  const graph = linearGraph();
  interpret(graph, {
    inputs: { x },
    parameters: () => weight,
    observe: (node, value) => seen.push(`${node.op} ${value.data.length}`),
  });
  assert.equal(seen, ["input 6", "parameter 6", "linear 4"]);
});

test("rounds to f32 only where asked", () => {
  const builder = new GraphBuilder();
  const third = builder.add("div", [builder.constant(1), builder.constant(3)], {});
  const graph = builder.finish("third", [{ name: "third", node: third }]);
  assert.is(interpret(graph).get("third")!.data[0], 1 / 3);
  assert.is(interpret(graph, { roundF32: true }).get("third")!.data[0], Math.fround(1 / 3));
});

test("dot: batch axes, transposed operands and several contracted axes", () => {
  const a = array(
    [
      { name: "k", size: 2 },
      { name: "batch", size: 2 },
      { name: "m", size: 1 },
    ],
    [1, 2, 3, 4],
  );
  const b = array(
    [
      { name: "n", size: 2 },
      { name: "k", size: 2 },
      { name: "batch", size: 2 },
    ],
    [1, 2, 3, 4, 5, 6, 7, 8],
  );
  const result = dotArrays(a, b, ["k"]);
  assert.equal(result.axes, [
    { name: "batch", size: 2 },
    { name: "m", size: 1 },
    { name: "n", size: 2 },
  ]);
  // batch 0: [1, 3] with [1, 3] and [5, 7]; batch 1: [2, 4] with [2, 4] and [6, 8].
  assert.equal([...result.data], [10, 26, 20, 44]);
  assert.equal([...dotArrays(a, b, ["batch", "k"]).data], [30, 70]);
});

test.run();
