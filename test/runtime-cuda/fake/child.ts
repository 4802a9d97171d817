/** Runs in a process of its own, with the libraries that the environment names; prints what came of it as JSON. */
import type { Plan } from "@weft/compiler";
import { compileWithNvrtc, cudaDevice, describeNvrtc } from "@weft/runtime-cuda";
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
