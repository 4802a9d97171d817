// What may not be done with a state: rows beyond its capacity, and giving out a value that the plan overwrites.
import { compile, interpret } from "@weft/compiler";
import { axis, formatProblem, GraphBuilder, type NodeId, orThrow } from "@weft/dsl";
import { cpuDevice } from "@weft/runtime-cpu";
import { isLeft } from "fp-ts/lib/Either.js";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { randomValues } from "../../support/random-values.ts";

const test = suite("limits of states");
const device = cpuDevice({ threads: 1 });
const h = axis("h", 2);
const seq = axis("seq", { symbol: "seq", max: 3 });

/** Rows appended to a state f32[keys=4, h=2]. */
function cacheGraph(valid: ReturnType<typeof axis>) {
  const builder = new GraphBuilder();
  builder.declareSymbol({ name: "past", max: 3 });
  if (typeof valid.size !== "number") builder.declareSymbol({ name: "keys", max: 4, sum: ["past", "seq"] });
  builder.declareState({ name: "cache", type: { dtype: "f32", axes: [axis("keys", 4), h] } });
  const x = builder.add("input", [], { name: "x", dtype: "f32", axes: [seq, h] });
  const all = builder.add("stateAppend", [x], {
    state: "cache",
    axis: "seq",
    into: "keys",
    past: "past",
    dtype: "f32",
    axes: [valid, h],
  });
  return builder.finish("cache", [{ name: "all", node: all }]);
}

async function messageOf(action: () => Promise<unknown>): Promise<string> {
  try {
    await action();
  } catch (error) {
    return (error as Error).message;
  }
  return "nothing was thrown";
}

for (const fusion of [true, false]) {
  test(`a run that appends beyond the capacity is refused, and the state stays (${fusion ? "fused" : "op by op"})`, async () => {
    const graph = cacheGraph(axis("keys", { symbol: "keys", max: 4 }));
    const { plan } = orThrow(compile([{ name: "main", graph, passes: [] }], { name: "cache", fusion }));
    using executable = await device.load(plan, {});
    const run = (past: number, values: readonly number[]) =>
      executable.run("main", {
        symbols: { past, seq: values.length / 2 },
        inputs: { x: Float32Array.from(values) },
      });
    await run(0, [1, 2, 3, 4, 5, 6]);
    assert.is(
      await messageOf(() => run(3, [9, 9, 9, 9])),
      "[runtime-cpu] symbol keys is 5, but memory was planned for at most 4",
    );
    const { outputs } = await run(3, [7, 8]);
    assert.equal([...outputs.all!], [1, 2, 3, 4, 5, 6, 7, 8]);
  });
}

test("the interpreter refuses it as well", async () => {
  const graph = cacheGraph(axis("keys", 4));
  const values = { ...randomValues(graph, 1), symbols: new Map([["past", 3]]) };
  const rows = {
    dtype: "f32",
    axes: [
      { name: "seq", size: 2 },
      { name: "h", size: 2 },
    ],
    data: new Float64Array(4),
  } as const;
  assert.match(
    await messageOf(async () => interpret(graph, { ...values, inputs: { x: rows } })),
    'the state "cache" must have room for 3 past and 2 new rows; given a capacity of 4',
  );
});

test("a plan that could write behind a state is refused when it is loaded", async () => {
  const { plan } = orThrow(
    compile([{ name: "main", graph: cacheGraph(axis("keys", 4)), passes: [] }], { name: "cache" }),
  );
  assert.match(
    await messageOf(() => device.load(plan, {})),
    "the kernel reaches element 11 of cache, which has 8",
  );
});

/** Two writes to one state f32[h=2]; `output` picks what is given out. */
function twoWrites(output: (builder: GraphBuilder, first: NodeId, between: NodeId) => NodeId) {
  const builder = new GraphBuilder();
  builder.declareState({ name: "s", type: { dtype: "f32", axes: [h] } });
  builder.origin = { path: "model.twice" };
  const x = builder.add("input", [], { name: "x", dtype: "f32", axes: [h] });
  const first = builder.add("stateWrite", [x], { state: "s" });
  const between = builder.add("stateRead", [], { state: "s", dtype: "f32", axes: [h] });
  const node = output(builder, first, between);
  builder.add("stateWrite", [builder.add("exp", [x], {})], { state: "s" });
  return builder.finish("twice", [{ name: "y", node }]);
}

const refused: Readonly<Record<string, Parameters<typeof twoWrites>[0]>> = {
  "what the first write gives": (_, first) => first,
  "a read between the writes": (_, __, between) => between,
  "a view of it": (builder, first) => builder.add("rename", [first], { from: "h", to: "g" }),
};

for (const [what, output] of Object.entries(refused)) {
  test(`an output that is a state's value between two writes is refused: ${what}`, () => {
    for (const fusion of [true, false]) {
      const result = compile([{ name: "main", graph: twoWrites(output), passes: [] }], {
        name: "twice",
        fusion,
      });
      assert.ok(isLeft(result));
      assert.match(
        result.left.map(formatProblem).join(),
        /\[emit\] an output must not be a state's value between two writes; given .*; at model\.twice; compute something/,
      );
    }
  });
}

test("what is computed from such a value may be given out", async () => {
  const graph = twoWrites((builder, first) => builder.add("neg", [first], {}));
  const { plan } = orThrow(compile([{ name: "main", graph, passes: [] }], { name: "twice" }));
  using executable = await device.load(plan, {});
  const { outputs } = await executable.run("main", { symbols: {}, inputs: { x: Float32Array.of(1, 2) } });
  assert.equal([...outputs.y!], [-1, -2]);
});

test.after(() => device[Symbol.dispose]());
test.run();
