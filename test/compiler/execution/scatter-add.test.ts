/** Rows added up by index, on every device: bit for bit for any number of threads, and close to the reference. */

import { compile, interpret, type Plan } from "@weft/compiler";
import { assertOutputsClose, randomNumbers } from "@weft/compiler/testing";
import { type Axis, axis, type Dtype, type Graph, GraphBuilder, orThrow, sizeFor } from "@weft/dsl";
import { cpuDevice } from "@weft/runtime-cpu";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { devicesHere, openDevice } from "../../support/models.ts";

const test = suite("scatterAdd");

interface Case {
  readonly positions: readonly Axis[];
  readonly rest: readonly Axis[];
  readonly rows: Axis;
  readonly dtype?: Dtype;
  /** Axes of the updates in another order than the kernel goes through them. */
  readonly turned?: boolean;
}

const seq = axis("seq", { symbol: "seq", max: 40 });
const cases: Readonly<Record<string, Case>> = {
  "an embedding's gradient": { positions: [seq], rest: [axis("hidden", 67)], rows: axis("vocab", 29) },
  "many positions, few rows": { positions: [axis("n", 700)], rest: [axis("hidden", 5)], rows: axis("v", 3) },
  "two axes each": {
    positions: [axis("batch", 3), seq],
    rest: [axis("heads", 2), axis("headDim", 33)],
    rows: axis("vocab", 17),
  },
  "no other axes": { positions: [axis("n", 300)], rest: [], rows: axis("bins", 40) },
  "rows of run-time number": { positions: [axis("n", 9)], rest: [axis("h", 4)], rows: seq },
  "updates in another order": {
    positions: [seq],
    rest: [axis("a", 3), axis("b", 20)],
    rows: axis("vocab", 11),
    turned: true,
  },
  "updates in bf16": { positions: [seq], rest: [axis("h", 300)], rows: axis("v", 8), dtype: "bf16" },
};

const symbols = { seq: 23 };
const given = new Map(Object.entries(symbols));

function graphOf({ positions, rest, rows, dtype = "f32", turned = false }: Case): Graph {
  const builder = new GraphBuilder();
  builder.declareSymbol({ name: "seq", max: 40 });
  const axes = [...positions, ...rest];
  const x = builder.add("input", [], { name: "x", dtype: "f32", axes: turned ? axes.toReversed() : axes });
  const indices = builder.add("input", [], { name: "indices", dtype: "i32", axes: positions });
  const updates = dtype === "f32" ? x : builder.add("cast", [x], { dtype });
  const sums = builder.add("scatterAdd", [updates, indices], { axis: rows });
  return builder.finish("scatter", [{ name: "sums", node: sums }]);
}

function valuesFor(graph: Graph, bound: number) {
  const next = randomNumbers(bound);
  const inputs = new Map(
    graph.nodes.flatMap(({ op, type, attributes }) => {
      if (op !== "input") return [];
      const axes = type.axes.map(({ name, size }) => ({ name, size: sizeFor(size, given) }));
      const count = axes.reduce((product, { size }) => product * size, 1);
      const value = () => (type.dtype === "i32" ? Math.floor(next() * bound) : Math.fround(next() - 0.5));
      return [
        [
          attributes.name as string,
          { dtype: type.dtype, axes, data: Float64Array.from({ length: count }, value) },
        ],
      ] as const;
    }),
  );
  return { symbols: given, inputs, parameters: () => undefined };
}

for (const on of await devicesHere()) {
  for (const [name, one] of Object.entries(cases)) {
    test(`${name}, on ${on}`, async () => {
      const graph = graphOf(one);
      const values = valuesFor(graph, sizeFor(one.rows.size, given));
      const expected = interpret(graph, values);
      const { plan } = orThrow(compile([{ name: "main", graph, passes: [] }], { name: "scatter" }));
      using device = await openDevice(on);
      using executable = await device.load(plan, {});
      const inputs = {
        x: Float32Array.from(values.inputs.get("x")!.data),
        indices: Int32Array.from(values.inputs.get("indices")!.data),
      };
      for (let run = 0; run < 2; run++) {
        const { outputs } = await executable.run("main", { symbols, inputs });
        const data = Float64Array.from(outputs.sums!);
        const actual = new Map([["sums", { ...expected.get("sums")!, data }]]);
        assertOutputsClose(actual, expected, { absolute: 1e-4, relative: 1e-5 });
      }
    });
  }
}

test("the same bits for one, two and five threads", async () => {
  for (const one of Object.values(cases)) {
    const graph = graphOf(one);
    const values = valuesFor(graph, sizeFor(one.rows.size, given));
    const { plan } = orThrow(compile([{ name: "main", graph, passes: [] }], { name: "scatter" }));
    const results: string[] = [];
    for (const threads of [1, 2, 5]) {
      using device = cpuDevice({ threads });
      using executable = await device.load(plan, {});
      const inputs = {
        x: Float32Array.from(values.inputs.get("x")!.data),
        indices: Int32Array.from(values.inputs.get("indices")!.data),
      };
      const { outputs } = await executable.run("main", { symbols, inputs });
      results.push(Buffer.from(new Uint8Array(outputs.sums!.buffer.slice(0))).toString("base64"));
    }
    assert.is(new Set(results).size, 1);
  }
});

const [vocab, hidden] = [axis("vocab", 6), axis("hidden", 4)];

/** rows at `indices` (computed or given) of a table whose gradient has a dense part as well: table + scatterAdd(x). */
function onto(computed: boolean): Graph {
  const builder = new GraphBuilder();
  const n = axis("n", 3);
  const x = builder.add("input", [], { name: "x", dtype: "f32", axes: [n, hidden] });
  const table = builder.add("input", [], { name: "table", dtype: "f32", axes: [vocab, hidden] });
  const given = builder.add("input", [], { name: "indices", dtype: "i32", axes: [n] });
  const indices = computed ? builder.add("add", [given, given], {}) : given;
  const sums = builder.add("scatterAdd", [x, indices], { axis: vocab });
  const dense = builder.add("exp", [table], {});
  const twice = builder.add("mul", [builder.add("reduceSum", [dense], { axis: "vocab" }), dense], {});
  return builder.finish("onto", [
    { name: "y", node: builder.add("neg", [builder.add("add", [twice, sums], {})], {}) },
  ]);
}

const planOf = (graph: Graph): Plan =>
  orThrow(compile([{ name: "main", graph, passes: [] }], { name: graph.name })).plan;

test("sums are added onto a dense gradient in the same kernel, in its own memory", () => {
  const compiled = orThrow(compile([{ name: "main", graph: onto(false), passes: [] }], { name: "onto" }));
  const kernel = compiled.plan.kernels.find(({ kind }) => kind === "scatterAdd");
  assert.ok(kernel?.kind === "scatterAdd");
  assert.is(kernel.addends.length, 1);
  const bytes = 6 * 4 * 4;
  const table = compiled.plan.buffers.filter((one) => one.class === "activations" && one.bytes === bytes);
  assert.is(compiled.programs[0]!.inPlace.length > 0, true);
  assert.is(new Set(table.slice(-2).map(({ offset }) => offset)).size, 1);
});

for (const on of await devicesHere()) {
  test(`an index that names no row is refused, on ${on}`, async () => {
    using device = await openDevice(on);
    const inputs = { x: new Float32Array(12), table: new Float32Array(24), indices: Int32Array.of(1, 6, 0) };
    const complaint = async (graph: Graph, indices: Int32Array) => {
      using executable = await device.load(planOf(graph), {});
      return await executable.run("main", { symbols: {}, inputs: { ...inputs, indices } }).then(
        () => "ran",
        (error: Error) => error.message,
      );
    };
    assert.match(
      await complaint(onto(false), inputs.indices),
      "input indices: value 6 at index 1 must be 0 to 5 (kernel scatter_add_add, step 1 of main)",
    );
    assert.match(
      await complaint(onto(true), Int32Array.of(1, 0, 3)),
      /by index 6, which must be 0 to 5 \(kernel/,
    );
    assert.match(
      await complaint(onto(true), Int32Array.of(1, 0, -1)),
      /by index -2, which must be 0 to 5 \(kernel/,
    );
    assert.is(await complaint(onto(true), Int32Array.of(1, 0, 2)), "ran");
  });
}

test.run();
