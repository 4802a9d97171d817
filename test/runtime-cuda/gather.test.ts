/** Indices that name no row of a table: refused with the place on every device, and nothing is lost. */
import { compile, expandBlock } from "@weft/compiler";
import { axis, chain, embedding, linear, orThrow, rmsNorm } from "@weft/dsl";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { randomBuffers, weightsOf } from "../runtime-cpu/compare.ts";
import { lookUpComputed } from "../runtime-cpu/look-up.ts";
import { rejection } from "../runtime-cpu/small-model.ts";
import { devicesHere, openDevice } from "../support/models.ts";

const test = suite("gather indices");
const vocab = axis("vocab", 40);
const hidden = axis("hidden", 16);
const wide = axis("wide", 24);

/** Few positions stream the weights, many go by tiles: the gather is in the prologue of either. */
const models = {
  "a row program": (positions: number) => model(positions, embedding("table", vocab, hidden)),
  "a product": (positions: number) =>
    model(positions, chain(embedding("table", vocab, hidden), linear("up", hidden, wide))),
  "norm and product": (positions: number) =>
    model(
      positions,
      chain(embedding("table", vocab, hidden), rmsNorm("norm", hidden, 1e-6), linear("up", hidden, wide)),
    ),
};

function model(positions: number, block: Parameters<typeof expandBlock>[0]) {
  const graph = expandBlock(block, { name: "look_up", lead: [axis("seq", positions)] });
  return orThrow(compile([{ name: "main", graph, passes: [] }], { name: "look_up" })).plan;
}

for (const name of await devicesHere()) {
  for (const [what, build] of Object.entries(models)) {
    test(`${name}: a token beyond the table of ${what}`, async () => {
      using device = await openDevice(name);
      for (const positions of [2, 20]) {
        const plan = build(positions);
        using executable = await device.load(plan, weightsOf(plan, randomBuffers(plan, 3, 40)));
        const [port] = plan.programs[0]!.inputs;
        const run = (token: number) => {
          const tokens = new Int32Array(positions);
          tokens[1] = token;
          return executable.run("main", { symbols: {}, inputs: { [port!.name]: tokens } });
        };
        const before = await run(39);
        for (const token of [40, 4000, -1]) {
          const message = await rejection(run(token));
          assert.match(message, new RegExp(`value ${token} at index 1 must be 0 to 39`));
        }
        assert.equal(await run(39), before);
      }
    });
  }

  test(`${name}: an index that is computed`, async () => {
    using device = await openDevice(name);
    const { plan, refused } = lookUpComputed();
    using executable = await device.load(plan, weightsOf(plan, randomBuffers(plan, 2)));
    const run = (value: number) =>
      executable.run("main", { symbols: {}, inputs: { x: Float32Array.from([0, 1, value, 0]) } });
    const before = await run(1);
    for (const [value, shown] of refused) {
      assert.match(
        await rejection(run(value)),
        new RegExp(`asked for by index ${shown}.*must be 0 to 2 \\(kernel look_up, step 0 of main`),
      );
      // The report is taken back: the next run is judged by its own indices.
      assert.equal(await run(1), before);
    }
  });
}

test.run();
