/** As child.ts, with a plan whose products a library may compute. */
import { cudaDevice, describeCublasLt } from "@weft/runtime-cuda";
import { randomBuffers, weightsOf } from "../../runtime-cpu/compare.ts";
import {
  crossedInputs,
  crossedPlan,
  crossingName,
  crossings,
  gatedPlan,
  hidden,
} from "../../support/library-graphs.ts";

const rows = 128;

/** The least that passes for a cubin: an ELF header without sections. */
const cubin = new Uint8Array(64);
cubin.set([0x7f, 0x45, 0x4c, 0x46, 2, 1]);

async function run() {
  const isCrossed = process.env.WEFT_TEST_CROSSED !== undefined;
  const { plan, cuda } = isCrossed ? crossedPlan() : gatedPlan(rows);
  const prepare = async () => ({ cudaPlan: cuda, images: [cubin] });
  const own = process.env.WEFT_TEST_OWN === undefined ? {} : { matmulLibrary: "own" as const };
  const device = await cudaDevice({ prepare, emit: () => cuda, ...own });
  const predicted = device.predictMemory(plan).total;
  const executable = await device.load(plan, weightsOf(plan, randomBuffers(plan, 3)));
  const { matmulSteps } = executable;
  const taken = executable.memory().total;
  const errors: string[] = [];
  // The second run is captured, the third replayed.
  const runs = isCrossed
    ? crossings.map((one) => [crossingName(one), crossedInputs(one)] as const)
    : Array.from({ length: 3 }, () => ["main", { input: new Float32Array(rows * hidden) }] as const);
  for (const [program, inputs] of runs)
    await executable
      .run(program, { symbols: {}, inputs })
      .catch((error: Error) => errors.push(error.message));
  executable[Symbol.dispose]();
  const { matmulLibrary } = device;
  device[Symbol.dispose]();
  return { matmulLibrary, matmulSteps, errors, memory: [predicted, taken] };
}

const failure = (error: unknown) => ({ error: (error as Error).message });
const describe = async () => describeCublasLt();
const work = process.env.WEFT_TEST_DESCRIBE === undefined ? run : describe;
console.log(JSON.stringify(await work().catch(failure)));
