/** Large products by the library that a GPU has: against the CPU and the plan's own kernels, launched and replayed. */
import type { Executable, Weight } from "@weft/runtime";
import { cpuDevice } from "@weft/runtime-cpu";
import { type GpuName, openByName } from "../../bench/support/gpu-device.ts";
import { gatedPlan } from "../support/library-graphs.ts";
import { atMost, type Checks, Skipped } from "./checks.ts";
import { relativeDifference } from "./model.ts";

const bound = 1e-2;
/** Of rows that fill no tile. A simulated GPU takes a thousand times as long. */
const sizes = {
  cuda: { rows: 1000, length: 1024, columns: 3072 },
  "cuda-sim": { rows: 130, length: 64, columns: 96 },
};

/** Numbers about -1 to 1 that follow no pattern a product would keep. */
const waves = (count: number, step: number) =>
  Float32Array.from({ length: count }, (_, at) => Math.sin(at * step + (at % 17)));

export async function checkMatmulLibrary(checks: Checks, name: GpuName, overlap: boolean): Promise<void> {
  await checks.check("large products by the library", async () => {
    const options = { overlapLaunches: overlap };
    using device = await openByName(name, { ...options, matmulLibrary: "auto" });
    if (!device.matmulLibrary.found) throw new Skipped(device.matmulLibrary.note);
    using plain = await openByName(name, { ...options, matmulLibrary: "own" });
    using cpu = cpuDevice({});
    const { rows, length, columns } = sizes[name];
    const { plan } = gatedPlan(rows, { length, columns });
    const weights: Record<string, Weight> = {};
    plan.buffers.forEach(({ name: weight, class: kind, shape }, index) => {
      const size = shape.reduce((product, extent) => product * extent, 1);
      // As small as trained ones, so that sums are about as large as what is summed.
      const data = waves(size, 1.7 + index).map((value) => value / Math.sqrt(length));
      if (kind === "weights") weights[weight] = { kind: "data", data, dtype: "f32", shape };
    });
    const input = waves(rows * length, 0.61);
    const run = async (executable: Executable): Promise<Float32Array> => {
      const { outputs } = await executable.run("main", { symbols: {}, inputs: { input } });
      return (outputs.output as Float32Array).slice();
    };
    using executable = await device.load(plan, weights);
    const { length: steps } = executable.matmulSteps;
    if (steps !== 2) throw new Error(`${steps} steps are offered to the library, 2 were expected`);
    const refused = executable.matmulSteps.find(({ by }) => by !== "library");
    if (refused !== undefined) throw new Error(`${refused.kernel} does without: ${refused.reason}`);
    const actual = await run(executable);
    for (const what of ["a captured run", "a replayed run"]) {
      const again = await run(executable);
      if (again.some((value, at) => !Object.is(value, actual[at])))
        throw new Error(`${what} differs in bits from the first`);
    }
    using plainExecutable = await plain.load(plan, weights);
    using cpuExecutable = await cpu.load(plan, weights);
    const differenceTo = async (other: Executable) => relativeDifference([actual], [await run(other)]);
    const toOwn = atMost(await differenceTo(plainExecutable), bound, "relative RMS to own kernels");
    const toCpu = atMost(await differenceTo(cpuExecutable), bound, "to the CPU");
    return `${device.matmulLibrary.note}: ${toOwn}, ${toCpu}`;
  });
}
