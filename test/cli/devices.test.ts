/** --device and --gpu-limit-gb: the same text on a simulated GPU, and what is said where there is no GPU. */
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { root, tiny, weft } from "./command.ts";

const test = suite("devices of the command");
const common = ["generate", tiny, "--tokens", "1,2,3,4", "--max-tokens", "6", "--temperature", "0", "--json"];
const simulated = ["--device", "cuda-sim", "--dtype", "f32"];

test("generate gives the same tokens on the CPU and on a simulated GPU", async () => {
  const [cpu, gpu] = [await weft(...common), await weft(...common, ...simulated)];
  assert.is(gpu.code, 0, gpu.stderr);
  assert.equal(JSON.parse(gpu.stdout).tokens, JSON.parse(cpu.stdout).tokens);
});

test("a limit of the GPU's memory is refused with the table of what takes the space", async () => {
  const { code, stderr } = await weft(...common, ...simulated, "--gpu-limit-gb", "0.0001");
  assert.is(code, 2);
  for (const part of ["weights", "state", "activations", "total"]) assert.match(stderr, part);
});

test("the limit is for GPUs, and threads are for the CPU", async () => {
  const limit = await weft(...common, "--gpu-limit-gb", "1");
  assert.is(limit.code, 2);
  assert.match(limit.stderr, /--gpu-limit-gb.*must go with a GPU/);
  const threads = await weft(...common, ...simulated, "--threads", "2");
  assert.is(threads.code, 2);
  assert.match(threads.stderr, /threads must be left out/);
});

test("without a driver, the places that were tried are named", async () => {
  const environment = process.env.WEFT_LIBCUDA;
  process.env.WEFT_LIBCUDA = join(root, "no-such-library.so");
  try {
    const { code, stderr } = await weft(...common, "--device", "cuda");
    assert.is(code, 2);
    assert.match(stderr, "no-such-library.so");
    assert.match(stderr, "cuda-sim");
  } finally {
    if (environment === undefined) delete process.env.WEFT_LIBCUDA;
    else process.env.WEFT_LIBCUDA = environment;
  }
});

test.run();
