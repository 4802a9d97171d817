/** Runs in a process of its own, with the libraries that the environment names; prints what came of it as JSON. */
import type { Plan } from "@weft/compiler";
import { compileWithNvrtc, cudaDevice, findNvrtc, gpuCompiler } from "@weft/runtime-cuda";
import { examplePlan, exampleWeights, hidden, prepareExample } from "../example.ts";

const failure = (error: unknown): string => (error as Error).message;

/** The least that passes for a cubin: an ELF header without sections. */
const cubin = new Uint8Array(64);
cubin.set([0x7f, 0x45, 0x4c, 0x46, 2, 1]);

async function refusal(image: Uint8Array): Promise<string> {
  const prepare = async (plan: Plan) => ({ ...(await prepareExample(plan)), images: [image] });
  using device = await cudaDevice({ prepare });
  return await device.load(examplePlan(), exampleWeights).then(() => "no error", failure);
}

async function driver() {
  const index = Number(process.env.WEFT_TEST_INDEX ?? 0);
  const prepare = async (plan: Plan) => ({ ...(await prepareExample(plan)), images: [cubin] });
  const device = await cudaDevice({ prepare, index });
  const plan = examplePlan();
  const executable = await device.load(plan, exampleWeights);
  const x = Float32Array.from({ length: hidden }, (_, i) => i);
  const step = { symbols: { past: 0, seq: 0 }, inputs: { x } };
  for (let i = 0; i < 3; i++) await executable.run("step", step);
  const { steps } = await executable.profile("step", step);
  await executable.restoreState(new Uint8Array(256).fill(9));
  const state = (await executable.saveState())[100];
  executable[Symbol.dispose]();
  device[Symbol.dispose]();
  // Once more: the library stays, the context is taken anew.
  const truncated = cubin.slice();
  // A section table behind the end.
  truncated.set([64, 0, 0, 0], 40);
  truncated.set([64, 0, 1, 0], 58);
  const refused = [await refusal(new TextEncoder().encode("text".repeat(40))), await refusal(truncated)];
  return { refused, facts: device.facts, times: steps.map(({ nanoseconds }) => nanoseconds), state };
}

/** What becomes of a sound image that the driver refuses. */
async function image() {
  const prepare = async (plan: Plan) => ({
    ...(await prepareExample(plan)),
    images: [cubin],
    toolkitVersion: "13.1",
  });
  using device = await cudaDevice({ prepare });
  return { refused: await device.load(examplePlan(), exampleWeights).then(() => "no error", failure) };
}

async function nvrtc() {
  const found = findNvrtc();
  const image = await compileWithNvrtc(found, "int a;\n", "sm_90a");
  const refused = await compileWithNvrtc(found, "int b;\nint error = x;", "sm_90a").catch(failure);
  return { ...found, image: Buffer.from(image).toString("latin1"), refused };
}

/** For the GPU and the driver that the environment describes. */
async function compiler() {
  const { name, version, compile } = await gpuCompiler({
    driverVersion: Number(process.env.WEFT_TEST_DRIVER),
    computeCapability: Number(process.env.WEFT_TEST_CAPABILITY),
  });
  const { image } = await compile("int a;\n", "sm_90a");
  return { name, version, image: Buffer.from(image).toString("latin1") };
}

const work = { driver, image, nvrtc, compiler }[process.env.WEFT_TEST_WORK ?? "driver"]!;
console.log(JSON.stringify(await work().catch((error: unknown) => ({ error: failure(error) }))));
