/** NVRTC through the cache, where it is: an image for the target, compiled once. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { selfContained } from "@weft/compiler";
import { cachedCompilation, cubinArchitecture, KernelCache, nvrtcCompiler } from "@weft/runtime-cuda";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const suiteOfNvrtc = suite("nvrtc compiler");
function open() {
  try {
    return nvrtcCompiler();
  } catch (error) {
    const { message } = error as Error;
    if (!message.includes("NVRTC must be found")) throw error;
    console.log(`  skipped: ${message}`);
    return undefined;
  }
}
const compiler = open();
const test = compiler === undefined ? suiteOfNvrtc.skip : suiteOfNvrtc;
const source = selfContained('#include "device.cuh"\nextern "C" __global__ void nothing() {}\n');

test("an image for the target, read from the cache the second time", async () => {
  const directory = mkdtempSync(join(tmpdir(), "weft-nvrtc-"));
  try {
    const cache = new KernelCache({ directory });
    let count = 0;
    const counting = {
      ...compiler!,
      compile: (text: string, target: string) => {
        count++;
        return compiler!.compile(text, target);
      },
    };
    for (let time = 0; time < 2; time++) {
      const { image } = await cachedCompilation(cache, counting, source, "sm_90a");
      assert.is(cubinArchitecture(image), 90);
    }
    assert.is(count, 1);
    assert.match(compiler!.version, /^\d+\.\d+$/);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

suiteOfNvrtc.run();
