/** Devices with their compilers: what happens when there is none at first. */
import { openSimulator } from "@weft/runtime-cuda";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { examplePlan, exampleScale, exampleWeights, hidden } from "./example.ts";

const test = suite("open cuda devices");

test("a compiler that was not there is looked for again by the next load", async () => {
  const before = process.env.CXX;
  const plan = examplePlan();
  using device = await openSimulator({ cache: { directory: "" } });
  try {
    process.env.CXX = "no-such-compiler";
    for (let time = 0; time < 2; time++) {
      const error = await device.load(plan, exampleWeights).catch((reason: unknown) => reason);
      assert.match((error as Error).message, /cuda-sim needs a C\+\+20 compiler; given no-such-compiler/);
    }
  } finally {
    if (before === undefined) delete process.env.CXX;
    else process.env.CXX = before;
  }
  using executable = await device.load(plan, exampleWeights);
  const x = Float32Array.from({ length: hidden }, (_, i) => i);
  const { outputs } = await executable.run("step", { symbols: { past: 0, seq: 0 }, inputs: { x } });
  // The row is its own oldest.
  assert.equal(
    [...outputs.y!],
    [...x].map((value, i) => 2 * value * exampleScale[i]!),
  );
});

test.run();
