/**
 * Qwen3 on a GPU: the oracles, long replays, the cache, memory and faults, with a short table last.
 *
 *     npm run test:gpu -- [--device cuda|cuda-sim] [--short] [--only PATTERN] [--overlap]
 *         [--sanitize memcheck,racecheck]
 *
 * `--overlap` lets kernels begin before the one before them has ended.
 * `--work` runs a prefill and some decode steps and checks nothing: what a sanitizer or a profiler is given to watch.
 */
import { parseArgs } from "node:util";
import { WeftError } from "@weft/dsl";
import type { CudaDevice } from "@weft/runtime-cuda";
import { type GpuName, gpuNames, openByName } from "../../bench/support/gpu-device.ts";
import { oracleNames } from "../parity/oracle.ts";
import { Checks } from "./checks.ts";
import { checkFaults } from "./fault-checks.ts";
import { checkMatmulLibrary } from "./library-checks.ts";
import { type Dtype, type FixtureName, openSubject, someTokens } from "./model.ts";
import { checkOracle } from "./oracle-checks.ts";
import { checkSanitized, type SanitizerTool, sanitizerTools } from "./sanitize.ts";
import { checkMemory, checkState } from "./state-checks.ts";

const { values: options } = parseArgs({
  options: {
    device: { type: "string", default: "cuda" },
    short: { type: "boolean", default: false },
    only: { type: "string" },
    sanitize: { type: "string", default: "" },
    overlap: { type: "boolean", default: false },
    work: { type: "boolean", default: false },
  },
});

interface Amount {
  readonly subjects: readonly (readonly [FixtureName, Dtype])[];
  readonly capacity: number;
  readonly decoded: number;
}

const all = oracleNames.flatMap((name) => (["f32", "bf16"] as const).map((dtype) => [name, dtype] as const));
/** A simulated GPU takes a thousand times as long. */
function amountOf(device: GpuName, isShort: boolean): Amount {
  if (isShort) return { subjects: [["tiny-tied", "bf16"]], capacity: 40, decoded: 14 };
  if (device === "cuda-sim") return { subjects: all, capacity: 48, decoded: 30 };
  return { subjects: all, capacity: 512, decoded: 512 };
}

async function work(device: CudaDevice): Promise<void> {
  for (const dtype of ["bf16", "f32"] as const) {
    using subject = await openSubject(device, "tiny", dtype, 48);
    using context = subject.gpu.createContext();
    const { vocabSize } = subject.gpu.config;
    await context.append(someTokens(subject.oracle.tokens.length, vocabSize));
    for (const token of someTokens(6, vocabSize)) await context.append([token]);
  }
}

function usage(problem: string): never {
  console.error(`[gpu] ${problem}`);
  process.exit(2);
}

const name = options.device as GpuName;
if (!gpuNames.includes(name)) usage(`--device must be ${gpuNames.join(" or ")}; given ${options.device}`);
const tools = options.sanitize.split(",").filter((one) => one !== "") as SanitizerTool[];
for (const tool of tools) {
  if (!sanitizerTools.includes(tool))
    usage(`--sanitize must be of ${sanitizerTools.join(", ")}; given ${tool}`);
}
if (tools.length > 0 && name !== "cuda") usage("--sanitize needs a GPU: cuda-sim looks for races by itself");

/** The device, or the end of the program with what was looked for. */
async function openOrEnd(): Promise<CudaDevice> {
  try {
    return await openByName(name, { overlapLaunches: options.overlap });
  } catch (error) {
    if (!(error instanceof WeftError)) throw error;
    console.error(`[gpu] no GPU to test on:\n${error.message}`);
    if (name === "cuda") console.error("[gpu] --device cuda-sim runs the same checks on the simulated GPU");
    process.exit(1);
  }
}

const checks = new Checks(options.only === undefined ? undefined : new RegExp(options.only));
{
  using device = await openOrEnd();
  console.error(`[gpu] ${device.name}: ${JSON.stringify(device.facts)}`);
  if (options.work) await work(device);
  else {
    const { subjects, capacity, decoded } = amountOf(name, options.short);
    for (const [index, [fixture, dtype]] of subjects.entries()) {
      let opened: Awaited<ReturnType<typeof openSubject>> | undefined;
      await checks.check(`${fixture} ${dtype}: loads`, async () => {
        opened = await openSubject(device, fixture, dtype, capacity);
        return `${opened.gpu.plan.kernels.length} kernels`;
      });
      if (opened === undefined) continue;
      using subject = opened;
      await checkOracle(checks, subject);
      await checkState(checks, subject, decoded);
      await checkMemory(checks, subject, device);
      if (index === 0) await checkFaults(checks, subject, name);
    }
    await checkMatmulLibrary(checks, name, options.overlap);
  }
}
if (!options.work) {
  for (const tool of tools) await checkSanitized(checks, tool, options.overlap ? ["--overlap"] : []);
  console.log(`\n${checks.report()}`);
  process.exitCode = checks.isGood ? 0 : 1;
}
