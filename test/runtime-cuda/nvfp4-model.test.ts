/** A checkpoint in NVFP4 on the simulated GPU: the interpreter's logits from chunks and from single steps. */
import { join } from "node:path";
import { type LogitsMode, logitsOf, logitsOpenOptions } from "@weft/qwen3";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { largestDifference, rootMeanSquareDifference } from "../support/largest-difference.ts";
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

/** Rows `routes` and `devices-bf16` of docs/numerics.md. */
const largest = 1e-4;
const share = 1e-2;

for (const dtype of ["f32", "bf16"] as const)
  test(`logits in ${dtype}`, async () => {
    const expected = await run("interpreter", dtype, "whole");
    for (const mode of [{ chunk: 4 }, "step"] as const) {
      const got = await run("cuda-sim", dtype, mode);
      const [difference, most] =
        dtype === "f32"
          ? [largestDifference(got, expected), largest]
          : [rootMeanSquareDifference(got, expected) / rootMeanSquareDifference(expected), share];
      assert.ok(difference <= most, `${JSON.stringify(mode)}: logits differ by ${difference}`);
    }
  });

test.run();
