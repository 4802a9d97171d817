/** A checkpoint in NVFP4 on the simulated GPU: the interpreter's logits from chunks and from single steps. */
import { join } from "node:path";
import { type LogitsMode, logitsOf, logitsOpenOptions } from "@weft/qwen3";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { largestDifference } from "../support/largest-difference.ts";
import { type DeviceName, fixtures, openInterpreted, openOn } from "../support/models.ts";

const test = suite("a model in NVFP4 on the simulated GPU");

const directory = join(fixtures, "nvfp4/compressed-tensors");
const tokens = [5, 17, 3, 44, 200, 9];
/** Of its layers. */
const layers = 2;

async function run(
  device: DeviceName,
  dtype: "f32" | "bf16",
  mode: LogitsMode,
): Promise<readonly Float32Array[]> {
  const options = { ...logitsOpenOptions(tokens.length, mode, layers), dtype };
  using model =
    device === "interpreter"
      ? await openInterpreted(directory, options)
      : await openOn(device, directory, { ...options, planCache: false });
  return (await logitsOf(model, tokens, { mode })).logits;
}

/** Of bf16: what is rounded the other way because a sum has another order. */
for (const [dtype, tolerance] of [
  ["f32", 2e-4],
  ["bf16", 3e-2],
] as const)
  test(`logits in ${dtype}`, async () => {
    const expected = await run("interpreter", dtype, "whole");
    for (const mode of [{ chunk: 4 }, "step"] as const) {
      const difference = largestDifference(await run("cuda-sim", dtype, mode), expected);
      assert.ok(difference <= tolerance, `${JSON.stringify(mode)}: logits differ by ${difference}`);
    }
  });

test.run();
