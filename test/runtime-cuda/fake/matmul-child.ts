/** As child.ts, with a plan whose products a library may compute. */
import { compile, emitCuda } from "@weft/compiler";
import { orThrow } from "@weft/dsl";
import { cudaDevice, describeCublasLt } from "@weft/runtime-cuda";
import { randomBuffers, weightsOf } from "../../runtime-cpu/compare.ts";
import type { EmittedPlan } from "../../support/cuda-plans.ts";
import { fp4Product } from "../../support/fp4-graphs.ts";
import {
  crossedInputs,
  crossedPlan,
  crossingName,
  crossings,
  gatedPlan,
  hidden,
} from "../../support/library-graphs.ts";
import { randomValues } from "../../support/random-values.ts";
import { weightsOf as valuesOf } from "../../support/run-plan.ts";

const rows = 128;

/** The least that passes for a cubin: an ELF header without sections. */
const cubin = new Uint8Array(64);
cubin.set([0x7f, 0x45, 0x4c, 0x46, 2, 1]);

const product = fp4Product("main", { rows, columns: 40, length: 48 });

function fp4Plan(): EmittedPlan {
  const { plan } = orThrow(compile([product], { name: "fp4" }));
  return { plan, cuda: emitCuda(plan, { fp4: "hardware" }) };
}

async function run() {
  const isCrossed = process.env.WEFT_TEST_CROSSED !== undefined;
  const isFp4 = process.env.WEFT_TEST_FP4 !== undefined;
  const { plan, cuda } = isCrossed ? crossedPlan() : isFp4 ? fp4Plan() : gatedPlan(rows);
  const prepare = async () => ({ cudaPlan: cuda, images: [cubin] });
  const own = process.env.WEFT_TEST_OWN === undefined ? {} : { matmulLibrary: "own" as const };
  const device = await cudaDevice({ prepare, emit: () => cuda, ...own });
  const predicted = device.predictMemory(plan).total;
  const weights = isFp4 ? valuesOf(randomValues(product.graph, 3)) : weightsOf(plan, randomBuffers(plan, 3));
  const executable = await device.load(plan, weights);
  const { matmulSteps } = executable;
  const taken = executable.memory().total;
  const errors: string[] = [];
  const ownInputs: Record<string, Float32Array> = isFp4
    ? { x: new Float32Array(rows * 48) }
    : { input: new Float32Array(rows * hidden) };
  // The second run is captured, the third replayed.
  const runs = isCrossed
    ? crossings.map((one) => [crossingName(one), crossedInputs(one)] as const)
    : Array.from({ length: 3 }, () => ["main", ownInputs] as const);
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
