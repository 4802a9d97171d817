/** The largest elements of rows on every device, bit for bit what the reference picks. */

import { compile, interpret } from "@weft/compiler";
import { randomNumbers } from "@weft/compiler/testing";
import { type Axis, axis, type Dtype, GraphBuilder, orThrow, sizeFor } from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { devicesHere, openDevice } from "../../support/models.ts";

const test = suite("top-k");

interface Case {
  readonly axes: readonly Axis[];
  readonly along: string;
  readonly count: number;
  readonly dtype?: Dtype;
  /** Values of the symbols. */
  readonly symbols?: Readonly<Record<string, number>>;
  /** How many different values: few of them make many equal ones. */
  readonly values?: number;
}

const vocab = axis("vocab", 5003);
const cases: Readonly<Record<string, Case>> = {
  "one long row": { axes: [vocab], along: "vocab", count: 32 },
  "one long row, greedy": { axes: [vocab], along: "vocab", count: 1 },
  "many equal elements": { axes: [axis("seq", 3), vocab], along: "vocab", count: 20, values: 5 },
  "as many as there are": { axes: [axis("seq", 9), axis("h", 7)], along: "h", count: 7, values: 3 },
  "less than a warp": { axes: [axis("h", 3)], along: "h", count: 2 },
  "an axis in the middle": { axes: [axis("a", 3), axis("h", 70), axis("b", 5)], along: "h", count: 4 },
  "stored as bf16": { axes: [axis("seq", 2), axis("h", 1500)], along: "h", count: 32, dtype: "bf16" },
  "symbolic rows": {
    axes: [axis("seq", { symbol: "seq", max: 40 }), axis("h", 200)],
    along: "h",
    count: 5,
    symbols: { seq: 11 },
  },
};

/** Ordinary values and all that compare oddly. */
function valuesFor(count: number, kinds: number): Float32Array {
  const next = randomNumbers(count);
  const odd = [0, -0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN];
  return Float32Array.from({ length: count }, () => {
    const draw = next();
    if (draw < 0.01) return odd[Math.floor(next() * odd.length)]!;
    return (Math.floor(next() * kinds) - kinds / 2) / 8;
  });
}

for (const on of await devicesHere()) {
  for (const [name, one] of Object.entries(cases)) {
    test(`${name}, on ${on}`, async () => {
      const { axes, along, count, dtype = "f32", symbols = {}, values = 2 ** 20 } = one;
      const builder = new GraphBuilder();
      for (const { size } of axes)
        if (typeof size !== "number") builder.declareSymbol({ name: size.symbol, max: size.max });
      const x = builder.add("input", [], { name: "x", dtype: "f32", axes });
      const read = dtype === "f32" ? x : builder.add("cast", [x], { dtype });
      const top = builder.add("topK", [read], { axis: along, into: "candidate", count });
      const graph = builder.finish("top_k", [{ name: "top", node: top }]);
      const given = new Map(Object.entries(symbols));
      const sizes = axes.map(({ name, size }) => ({ name, size: sizeFor(size, given) }));
      const data = valuesFor(
        sizes.reduce((product, { size }) => product * size, 1),
        values,
      );
      const expected = interpret(graph, {
        symbols: given,
        inputs: new Map([["x", { dtype: "f32", axes: sizes, data: Float64Array.from(data) }]]),
      }).get("top")!;
      const { plan } = orThrow(compile([{ name: "main", graph, passes: [] }], { name: "top_k" }));
      using device = await openDevice(on);
      using executable = await device.load(plan, {});
      // The second run replays what the first was captured as; counters of blocks begin anew.
      for (let run = 0; run < 3; run++) {
        const { outputs } = await executable.run("main", { symbols, inputs: { x: data } });
        assert.equal([...outputs.top!].map(String), [...expected.data].map(String));
      }
    });
  }
}

test.run();
