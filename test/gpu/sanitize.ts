/** A small prefill and decode under NVIDIA's compute-sanitizer, which looks for wrong accesses and races. */
import { spawn, spawnSync } from "node:child_process";
import { type Checks, Skipped } from "./checks.ts";

export const sanitizerTools = ["memcheck", "racecheck", "initcheck", "synccheck"] as const;
export type SanitizerTool = (typeof sanitizerTools)[number];

const mostSeconds = 400;

/** Where it is, if it is there: WEFT_COMPUTE_SANITIZER, the path, the usual folders of a toolkit. */
export function findSanitizer(environment: NodeJS.ProcessEnv = process.env): string | undefined {
  const named = environment.WEFT_COMPUTE_SANITIZER;
  const folders = [environment.CUDA_HOME, environment.CUDA_PATH, "/usr/local/cuda"].filter(Boolean);
  const places = named
    ? [named]
    : ["compute-sanitizer", ...folders.map((one) => `${one}/bin/compute-sanitizer`)];
  return places.find((place) => spawnSync(place, ["--version"], { encoding: "utf8" }).status === 0);
}

/** The line in which the sanitizer counts what it found. */
export function sanitizerVerdict(
  output: string,
): { readonly errors: number; readonly line: string } | undefined {
  const found = /^.*(?:ERROR SUMMARY: (\d+) errors?|RACECHECK SUMMARY: (\d+) hazards? displayed).*$/m.exec(
    output,
  );
  if (found === null) return undefined;
  return { errors: Number(found[1] ?? found[2]), line: found[0].replace(/^=+\s*/, "") };
}

/** Starts this very program again under the sanitizer, with the short work only. */
export async function checkSanitized(
  checks: Checks,
  tool: SanitizerTool,
  more: readonly string[] = [],
): Promise<void> {
  await checks.check(`compute-sanitizer ${tool}`, async () => {
    const sanitizer = findSanitizer();
    if (sanitizer === undefined) {
      throw new Skipped("compute-sanitizer is not on this machine (WEFT_COMPUTE_SANITIZER, PATH, CUDA_HOME)");
    }
    const program = [
      process.execPath,
      ...process.execArgv,
      process.argv[1]!,
      "--device",
      "cuda",
      "--work",
      ...more,
    ];
    const { status, output } = await run(sanitizer, ["--tool", tool, "--error-exitcode", "9", ...program]);
    const verdict = sanitizerVerdict(output);
    if (status !== 0 || verdict === undefined || verdict.errors > 0) {
      throw new Error(`${verdict?.line ?? `exit status ${status}`}\n${output.slice(-6000)}`);
    }
    return verdict.line;
  });
}

function run(command: string, args: readonly string[]): Promise<{ status: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    const timer = setTimeout(() => {
      output += `\nstopped after ${mostSeconds} s`;
      child.kill("SIGKILL");
    }, mostSeconds * 1000);
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk) => {
        output += chunk;
      });
    }
    child.on("error", reject);
    child.on("close", (status) => {
      clearTimeout(timer);
      resolve({ status, output });
    });
  });
}
