/** Runs in a process of its own, with the libraries that the environment names; prints what came of it as JSON. */
import { compileWithNvrtc, cudaDevice, describeNvrtc } from "@weft/runtime-cuda";
import { examplePlan, exampleWeights, hidden, prepareExample } from "../example.ts";

const failure = (error: unknown): string => (error as Error).message;

async function driver() {
  const index = Number(process.env.WEFT_TEST_INDEX ?? 0);
  const device = await cudaDevice({ prepare: prepareExample, index });
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
  (await cudaDevice({ prepare: prepareExample }))[Symbol.dispose]();
  return { facts: device.facts, times: steps.map(({ nanoseconds }) => nanoseconds), state };
}

async function compiler() {
  const described = describeNvrtc();
  const image = await compileWithNvrtc({ file: "kernels.cu", source: "int a;\n" }, "sm_90a");
  const refused = await compileWithNvrtc(
    { file: "kernels.cu", source: "int b;\nint error = x;" },
    "sm_90a",
  ).catch(failure);
  return { ...described, image: Buffer.from(image).toString("latin1"), refused };
}

const work = process.env.WEFT_TEST_COMPILER === undefined ? driver : compiler;
console.log(JSON.stringify(await work().catch((error: unknown) => ({ error: failure(error) }))));
