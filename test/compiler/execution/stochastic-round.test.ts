/** Random rounding on every device, fused and op by op, bit for bit what the reference makes of it. */

import { compile, interpret } from "@weft/compiler";
import { randomNumbers } from "@weft/compiler/testing";
import { type Axis, axis, GraphBuilder, orThrow, roundingKey, type TensorArray } from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { devicesHere, openDevice } from "../../support/models.ts";

const test = suite("stochastic round");

interface Case {
  readonly axes: readonly Axis[];
  /** The axes of what is rounded: a repetition in another order than the input's, where given. */
  readonly into?: readonly Axis[];
  readonly seq?: number;
}

const seq = axis("seq", { symbol: "seq", max: 9 });
const cases: Readonly<Record<string, Case>> = {
  "one element": { axes: [] },
  "less than a block": { axes: [axis("h", 5)] },
  "a long odd row": { axes: [axis("h", 4099)] },
  "rows of whole blocks": { axes: [axis("a", 6), axis("h", 64)] },
  "rows that begin within blocks": { axes: [axis("a", 7), axis("b", 3), axis("h", 13)] },
  "rows of four": { axes: [axis("a", 50), axis("h", 4)] },
  "symbolic rows": { axes: [seq, axis("h", 31)], seq: 7 },
  "another order": { axes: [axis("a", 12), axis("h", 10)], into: [axis("h", 10), axis("a", 12)] },
};

const bits = new Uint32Array(1);
const float = new Float32Array(bits.buffer);

/** Bit patterns of all kinds: ordinary, denormal, the largest, infinite, NaN, and some that bf16 holds. */
function valuesFor(count: number): Float32Array {
  const next = randomNumbers(count + 1);
  const odd = [
    0, 0x80000000, 1, 0x807fffff, 0x7f7fffff, 0xff7f0001, 0x7f800000, 0xff800000, 0x7fc00000, 0x3f800000,
  ];
  return Float32Array.from({ length: count }, (_, at) => {
    bits[0] = at < odd.length ? odd[at]! : Math.floor(next() * 2 ** 32);
    return float[0]!;
  });
}

for (const on of await devicesHere()) {
  for (const fusion of [true, false]) {
    test(`on ${on}, ${fusion ? "fused" : "op by op"}`, async () => {
      using device = await openDevice(on);
      for (const [name, { axes, into, seq: length }] of Object.entries(cases)) {
        const builder = new GraphBuilder();
        builder.declareSymbol({ name: "seq", max: 9 });
        const add = builder.add.bind(builder);
        const x = add("input", [], { name: "x", dtype: "f32", axes });
        const scalar = (input: string) => add("input", [], { name: input, dtype: "f32", axes: [] });
        const ordered = into === undefined ? x : add("broadcast", [x], { axes: into });
        const words = [scalar("low"), scalar("high"), scalar("stream")];
        const rounded = add("stochasticRound", [ordered, ...words], {});
        const graph = builder.finish("round", [
          { name: "y", node: add("cast", [rounded], { dtype: "f32" }) },
          // Neighbours on both sides: rounding is a part of their kernel.
          {
            name: "z",
            node: add(
              "neg",
              [
                add("cast", [add("stochasticRound", [add("neg", [ordered], {}), ...words], {})], {
                  dtype: "f32",
                }),
              ],
              {},
            ),
          },
        ]);
        const sizes = axes.map((one) => ({
          name: one.name,
          size: typeof one.size === "number" ? one.size : length!,
        }));
        const data = valuesFor(sizes.reduce((product, { size }) => product * size, 1));
        const [low, high] = roundingKey(3, 14);
        const given = {
          low: Float32Array.of(low),
          high: Float32Array.of(high),
          stream: Float32Array.of(0xfedcba),
        };
        const expected = interpret(graph, {
          symbols: new Map([["seq", length ?? 1]]),
          inputs: new Map<string, TensorArray>([
            ["x", { dtype: "f32", axes: sizes, data: Float64Array.from(data) }],
            ...Object.entries(given).map(
              ([key, value]) => [key, { dtype: "f32", axes: [], data: Float64Array.from(value) }] as const,
            ),
          ]),
        });
        const { plan } = orThrow(compile([{ name: "main", graph, passes: [] }], { name: "round", fusion }));
        // Each output is one kernel: rounding joins what is around it.
        if (fusion) assert.is(plan.programs[0]!.steps.length, 2, name);
        using executable = await device.load(plan, {});
        const { outputs } = await executable.run("main", {
          symbols: plan.symbols.length === 0 ? {} : { seq: length ?? 1 },
          inputs: { x: data, ...given },
        });
        for (const output of ["y", "z"]) {
          // As words, so that the sign of zero counts; NaN is NaN.
          const words = (values: ArrayLike<number>) => [
            ...new Uint32Array(
              Float32Array.from(values, (one) => (Number.isNaN(one) ? Number.NaN : one)).buffer,
            ),
          ];
          assert.equal(words(outputs[output]!), words(expected.get(output)!.data), `${name}: ${output}`);
        }
      }
    });
  }
}

test.run();
