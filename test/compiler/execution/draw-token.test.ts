/** Tokens that a device draws: those that the sampler on the host draws from the same candidates, on every device. */

import { candidates, compile, drawFields, drawnToken, drawToken } from "@weft/compiler";
import { randomNumbers } from "@weft/compiler/testing";
import { axis, GraphBuilder, orThrow } from "@weft/dsl";
import { Sampler, type SamplerOptions } from "@weft/qwen3";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { devicesHere, openDevice } from "../../support/models.ts";

const test = suite("drawn tokens");
const size = 90;
const vocab = axis("vocab", size);
const passes = [
  candidates({ output: "logits", axis: "vocab", count: 32 }),
  drawToken({ tokens: "tokens", sequence: "seq" }),
];

/** Logits are the row of a table that belongs to the token. */
function tableModel(positions: number) {
  const builder = new GraphBuilder();
  const tokens = builder.add("input", [], { name: "tokens", dtype: "i32", axes: [axis("seq", positions)] });
  const table = builder.add("parameter", [], {
    name: "table",
    dtype: "f32",
    axes: [vocab, axis("next", size)],
  });
  const rows = builder.add("gather", [table, tokens], { axis: "vocab" });
  const logits = builder.add("rename", [builder.add("last", [rows], { axis: "seq" })], {
    from: "next",
    to: "vocab",
  });
  return builder.finish("table", [{ name: "logits", node: logits }]);
}

const plan = () =>
  orThrow(
    compile(
      [
        { name: "decode", graph: tableModel(1), passes },
        { name: "prefill", graph: tableModel(3), passes },
      ],
      { name: "table" },
    ),
  ).plan;

/** Few different logits, so that many are equal and sums stand on thresholds. */
const tableData = (() => {
  const next = randomNumbers(5);
  return Float32Array.from({ length: size ** 2 }, () => Math.floor(next() * 40) / 8 - 2);
})();
const weights = {
  table: { kind: "data", dtype: "f32", shape: [size, size], data: tableData } as const,
};

const ways: readonly SamplerOptions[] = [
  { temperature: 0 },
  { temperature: 1, topK: 1 },
  { temperature: 1, topK: 32 },
  { temperature: 0.7, topK: 20, topP: 0.8 },
  { temperature: 1.5, topK: 30, topP: 0.3, minP: 0.4 },
  { temperature: 1, topK: 12, topP: 0 },
  { temperature: 3, topK: 32, minP: 1 },
  { temperature: 1e-200, topK: 8 },
];

for (const on of await devicesHere()) {
  test(`the sampler's own, on ${on}`, async () => {
    using device = await openDevice(on);
    using executable = await device.load(plan(), weights);
    let compared = 0;
    let different = 0;
    for (const options of ways) {
      const sampler = orThrow(Sampler.create({ ...options, seed: 11 }));
      for (let step = 0; step < (on === "cpu" ? 200 : 30); step++) {
        const inputs = { tokens: Int32Array.of(step % size), draw: sampler.deviceDraw(step) };
        const { outputs } = await executable.run("decode", { symbols: {}, inputs });
        const expected = orThrow(sampler.sampleCandidates(outputs.candidates as Float32Array, step));
        compared++;
        if (outputs[drawnToken]![0] !== expected) different++;
      }
    }
    // In f32 a sum may fall on the other side of a threshold; then the host's choice counts.
    assert.ok(different <= compared / 200, `${different} of ${compared}`);
  });

  test(`-1 is the token that the step before has drawn, on ${on}`, async () => {
    using device = await openDevice(on);
    using executable = await device.load(plan(), weights);
    const sampler = orThrow(Sampler.create({ temperature: 1, topK: 32, seed: 3 }));
    const follow = async (given: (drawn: number) => number) => {
      const tokens: number[] = [];
      const first = { tokens: Int32Array.of(1, 2, 7), draw: sampler.deviceDraw(0) };
      let { outputs } = await executable.run("prefill", { symbols: {}, inputs: first });
      for (let step = 1; step < 20; step++) {
        const drawn = outputs[drawnToken]![0]!;
        tokens.push(drawn);
        const inputs = { tokens: Int32Array.of(given(drawn)), draw: sampler.deviceDraw(step) };
        ({ outputs } = await executable.run("decode", { symbols: {}, inputs }));
      }
      return tokens;
    };
    const told = await follow((drawn) => drawn);
    assert.equal(await follow(() => -1), told);
    assert.ok(new Set(told).size > 10, told.join());
  });
}

test("it needs candidates of one position, and the tokens", () => {
  const graph = tableModel(1);
  const refused = (given: typeof passes, over = graph) => {
    const compiled = compile([{ name: "decode", graph: over, passes: given }], { name: "table" });
    assert.is(compiled._tag, "Left");
    return compiled._tag === "Left" ? compiled.left.map(({ requirement }) => requirement).join() : "";
  };
  assert.is(refused([passes[1]!]), "the graph must have the candidates of one position");
  assert.is(
    refused([passes[0]!, drawToken({ tokens: "ids", sequence: "seq" })]),
    'the graph must have an input "ids"',
  );
});

test("the fields are those of the sampler, in the order of the input", () => {
  const sampler = orThrow(Sampler.create({ temperature: 0.5, topK: 7, topP: 0.25, minP: 0.125, seed: 1 }));
  const fields = Object.fromEntries(drawFields.map((name, at) => [name, sampler.deviceDraw(4)[at]]));
  assert.ok(fields.uniform! >= 0 && fields.uniform! <= 1);
  assert.equal({ ...fields, uniform: 0 }, { scale: 2, count: 7, nucleus: 0.25, least: 0.125, uniform: 0 });
});

test.run();
