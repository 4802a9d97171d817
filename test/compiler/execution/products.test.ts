/**
 * General products by tiles, against their definition: operands that lie along the contracted axis and across it, sizes
 * that no tile divides, axes that are left over, and sizes that only a run knows.
 */

import { compile, emitCuda, interpret, type Plan } from "@weft/compiler";
import { assertOutputsClose, randomNumbers } from "@weft/compiler/testing";
import { type Axis, axis, type Dtype, type Graph, GraphBuilder, orThrow, sizeFor } from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { devicesHere, openDevice } from "../../support/models.ts";

const test = suite("products");

const seq = axis("seq", { symbol: "seq", max: 40 });
const [rows, columns, depth] = [axis("rows", 35), axis("columns", 21), axis("depth", 19)];
const [heads, wide, even] = [axis("heads", 3), axis("wide", 136), axis("even", 24)];

interface Product {
  readonly a: readonly Axis[];
  readonly b: readonly Axis[];
  readonly contract: readonly Axis[];
  readonly seq?: number;
}

/** Each is one contraction; together they are the programs of one plan, so that a device compiles once. */
const products: Readonly<Record<string, Product>> = {
  "both along the depth": { a: [rows, depth], b: [columns, depth], contract: [depth] },
  "both across it": { a: [depth, rows], b: [depth, columns], contract: [depth] },
  "one of each": { a: [rows, depth], b: [depth, columns], contract: [depth] },
  "the other way round": { a: [depth, rows], b: [columns, depth], contract: [depth] },
  "pieces of 16 bytes along it": { a: [wide, even], b: [columns, even], contract: [even] },
  "pieces of 16 bytes across it": { a: [seq, wide], b: [seq, even], contract: [seq], seq: 37 },
  "rows that a run knows": { a: [seq, even], b: [even, wide], contract: [even], seq: 33 },
  "no position": { a: [seq, wide], b: [seq, even], contract: [seq], seq: 0 },
  "heads apart": { a: [heads, rows, depth], b: [heads, columns, depth], contract: [depth] },
  "heads apart, across": { a: [even, heads, rows], b: [even, heads, columns], contract: [even] },
  "two contracted axes": { a: [rows, heads, depth], b: [heads, columns, depth], contract: [heads, depth] },
  "an axis left over": { a: [heads, depth, rows], b: [depth, columns], contract: [depth] },
};

function graphOf({ a, b, contract }: Product, dtype: Dtype): Graph {
  const builder = new GraphBuilder();
  builder.declareSymbol({ name: "seq", max: 40 });
  const given = (name: string, axes: readonly Axis[]) => {
    const x = builder.add("input", [], { name, dtype: "f32", axes: [...axes] });
    return dtype === "f32" ? x : builder.add("cast", [x], { dtype });
  };
  const product = builder.add("dot", [given("a", a), given("b", b)], {
    contract: contract.map(({ name }) => name),
  });
  return builder.finish("product", [{ name: "out", node: product }]);
}

function planOf(dtype: Dtype): Plan {
  const programs = Object.entries(products).map(([name, one]) => ({
    name,
    graph: graphOf(one, dtype),
    passes: [],
  }));
  return orThrow(compile(programs, { name: "products" })).plan;
}

test("each is a kernel of tiles", () => {
  for (const [dtype, shape] of [
    ["f32", "PlainShape"],
    ["bf16", "MmaShape"],
  ] as const) {
    const { source } = emitCuda(planOf(dtype)).modules[0]!;
    // Its products, and its store; two of the graphs are the same.
    assert.is(source.split(`_tile<${shape}, `).length - 1, 2 * (Object.keys(products).length - 1));
  }
});

for (const on of await devicesHere()) {
  for (const dtype of ["f32", "bf16"] as const)
    test(`${dtype} on ${on}`, async () => {
      using device = await openDevice(on);
      using executable = await device.load(planOf(dtype), {});
      for (const [name, one] of Object.entries(products)) {
        const graph = graphOf(one, dtype);
        const symbols = new Map([["seq", one.seq ?? 1]]);
        const next = randomNumbers(7);
        const inputs = new Map(
          (["a", "b"] as const).map((side) => {
            const axes = one[side].map(({ name, size }) => ({ name, size: sizeFor(size, symbols) }));
            const count = axes.reduce((all, { size }) => all * size, 1);
            const data = Float64Array.from({ length: count }, () => Math.fround(2 * next() - 1));
            return [side, { dtype: "f32" as const, axes, data }];
          }),
        );
        const expected = interpret(graph, { symbols, inputs, parameters: () => undefined });
        const { outputs } = await executable.run(name, {
          symbols: { seq: one.seq ?? 1 },
          inputs: Object.fromEntries([...inputs].map(([side, { data }]) => [side, Float32Array.from(data)])),
        });
        const actual = new Map(
          [...expected].map(([key, value]) => [key, { ...value, data: Float64Array.from(outputs[key]!) }]),
        );
        // Operands are exact in bf16 too: only the order of the additions differs.
        assertOutputsClose(actual, expected, { absolute: 2e-5, relative: 1e-5 });
      }
    });
}

test.run();
