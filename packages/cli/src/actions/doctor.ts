/** `weft doctor`: what this machine has, and what will be used of it. */
import { spawnSync } from "node:child_process";
import { availableParallelism, freemem, totalmem } from "node:os";
import { formatBytes } from "@weft/compiler";
import { WeftError } from "@weft/dsl";
import { type CpuDescription, describeCpu } from "@weft/runtime-cpu";
import {
  describeCublasLt,
  findHostCompiler,
  findNvcc,
  findNvrtc,
  formatTried,
  openGpu,
} from "@weft/runtime-cuda";
import type { DoctorOptions } from "../commands/doctor.ts";
import { print, printJson } from "../terminal/output.ts";
import { formatTable } from "../terminal/table.ts";
import { packageVersion } from "../version.ts";

interface Device {
  readonly name: string;
  readonly available: boolean;
  readonly note: string;
}

interface Findings {
  readonly weft: string;
  readonly node: string;
  readonly platform: string;
  readonly processors: number;
  readonly memory: { readonly total: number; readonly free: number };
  readonly addon: { readonly loaded: boolean; readonly problem: string | null };
  readonly cpu: CpuDescription | null;
  /** Looked for only where the addon has to be built. */
  readonly buildTools: Readonly<Record<string, string | null>> | null;
  readonly devices: readonly Device[];
  /** What compiles kernels for a GPU, with the places tried where there is none. */
  readonly kernelCompilers: readonly Device[];
  /** What multiplies large matrices on a GPU beside the plan's own kernels, with the places tried where it is not. */
  readonly matmulLibraries: readonly Device[];
  /** What runs unless options say otherwise; null where nothing can run. */
  readonly uses: { readonly device: string; readonly isa: string; readonly threads: number } | null;
}

export async function doctor(options: DoctorOptions): Promise<void> {
  const findings = await examine();
  if (options.json === true) await printJson(findings);
  else await print(report(findings));
}

async function examine(): Promise<Findings> {
  const { cpu, problem } = probe();
  const { device, driverVersion } = await gpu();
  return {
    weft: packageVersion(),
    node: process.versions.node,
    platform: `${process.platform}-${process.arch}`,
    processors: availableParallelism(),
    memory: { total: totalmem(), free: availableMemory() },
    addon: { loaded: cpu !== null, problem },
    cpu,
    buildTools: cpu === null ? buildTools() : null,
    devices: [
      {
        name: "cpu",
        available: cpu !== null,
        note: cpu === null ? "the native addon is missing" : "the default",
      },
      device,
      await simulator(),
    ],
    kernelCompilers: await kernelCompilers(),
    matmulLibraries: [cublasLt(driverVersion)],
    uses: cpu === null ? null : { device: "cpu", isa: cpu.isa, threads: cpu.physicalCores },
  };
}

function probe(): { readonly cpu: CpuDescription | null; readonly problem: string | null } {
  try {
    return { cpu: describeCpu(), problem: null };
  } catch (error) {
    return { cpu: null, problem: error instanceof Error ? error.message : String(error) };
  }
}

const reason = (error: unknown): string => {
  if (error instanceof WeftError) return error.problems.map(({ requirement }) => requirement).join("; ");
  return error instanceof Error ? error.message : String(error);
};

async function gpu(): Promise<{ readonly device: Device; readonly driverVersion?: number }> {
  try {
    using device = await openGpu({ matmulLibrary: "own" });
    const { facts } = device;
    const capability = (facts.computeCapability / 10).toFixed(1);
    const driver = `${Math.floor(facts.driverVersion / 1000)}.${(facts.driverVersion % 1000) / 10}`;
    const note =
      `${facts.name}, compute capability ${capability}, ${facts.multiprocessors} multiprocessors, ` +
      `${formatBytes(facts.freeBytes)} of ${formatBytes(facts.totalBytes)} free, driver for CUDA ${driver}`;
    return { device: { name: "cuda", available: true, note }, driverVersion: facts.driverVersion };
  } catch (error) {
    return { device: { name: "cuda", available: false, note: reason(error) } };
  }
}

async function simulator(): Promise<Device> {
  try {
    const { version } = await findHostCompiler();
    return { name: "cuda-sim", available: true, note: `kernels are compiled by ${version}` };
  } catch (error) {
    return { name: "cuda-sim", available: false, note: reason(error) };
  }
}

async function kernelCompilers(): Promise<Device[]> {
  const { nvcc, tried } = await findNvcc();
  return [
    nvrtc(),
    {
      name: "nvcc",
      available: nvcc !== undefined,
      note:
        nvcc === undefined
          ? `needed by \`weft compile\`; ${formatTried(tried)}`
          : `${nvcc.version}, ${nvcc.path}`,
    },
  ];
}

function nvrtc(): Device {
  try {
    const { version, path } = findNvrtc();
    return { name: "NVRTC", available: true, note: `${version}, ${path}` };
  } catch (error) {
    return { name: "NVRTC", available: false, note: reason(error) };
  }
}

function cublasLt(driverVersion: number | undefined): Device {
  try {
    const { version, path } = describeCublasLt(driverVersion);
    return { name: "cuBLASLt", available: true, note: `${version}, ${path}` };
  } catch (error) {
    return { name: "cuBLASLt", available: false, note: reason(error) };
  }
}

/** What processes may still have; free memory alone leaves out what the page cache would give back. */
function availableMemory(): number {
  const available = (process as { availableMemory?: () => number }).availableMemory?.();
  return available === undefined ? freemem() : Math.min(available, totalmem());
}

/** The first line that each tool says about itself, null where it is not there. */
function buildTools(): Readonly<Record<string, string | null>> {
  const compiler = process.env.CXX ?? "c++";
  return Object.fromEntries(
    ["cmake", compiler].map((tool) => {
      const { status, stdout } = spawnSync(tool, ["--version"], { encoding: "utf8" });
      return [tool, status === 0 ? (stdout.split("\n")[0] ?? "") : null];
    }),
  );
}

function report(findings: Findings): string {
  const { cpu, memory, uses } = findings;
  const rows: [string, string][] = [
    ["weft", findings.weft],
    ["node", `${findings.node} on ${findings.platform}`],
    ["memory", `${formatBytes(memory.total)}, ${formatBytes(memory.free)} available`],
  ];
  if (cpu === null) {
    rows.push(["native addon", findings.addon.problem ?? "missing"]);
    for (const [tool, version] of Object.entries(findings.buildTools ?? {})) {
      rows.push([tool, version ?? "not found; it is needed to build the native addon"]);
    }
  } else {
    rows.push(
      ["native addon", "loaded"],
      ["cores", `${cpu.physicalCores}, ${cpu.logicalProcessors} logical processors`],
      ["instructions", cpu.available.filter((isa) => !isa.endsWith("-emulated")).join(", ")],
    );
  }
  const seen = ({ available, note }: Device) => `${available ? "available" : "not available"}: ${note}`;
  for (const device of findings.devices) rows.push([`device ${device.name}`, seen(device)]);
  for (const one of [...findings.kernelCompilers, ...findings.matmulLibraries])
    rows.push([one.name, seen(one)]);
  rows.push([
    "will use",
    uses === null
      ? "nothing: build the native addon first"
      : `${uses.device}, ${uses.isa}, ${uses.threads} threads`,
  ]);
  return formatTable([{ title: "" }, { title: "" }], rows);
}
