/** Compiles kernel text for the simulator: the host's C++ compiler makes a shared object of it. */
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Problem, unsupportedProblem, userProblem, WeftError } from "@weft/dsl";
import type { Compiler } from "./compiler.ts";
import { compilerMessages } from "./compiler-messages.ts";

/** The simulator's twin of the device's prelude, seen from src/ and from dist/. Searched before the prelude folder. */
export const simulatorFolder = fileURLToPath(new URL("../../sim", import.meta.url));

/** Part of what a compilation depends on, so a cache's key needs them. */
export const hostFlags: readonly string[] = [
  ..."-x c++ -std=c++20 -O1 -fPIC -shared -ffp-contract=off -fno-exceptions -fno-rtti".split(" "),
  // Kernels are many, their object is read once.
  ..."-fno-asynchronous-unwind-tables -w".split(" "),
];

export interface HostCompiler {
  readonly command: string;
  readonly args: readonly string[];
  /** The first line that it says of itself. */
  readonly version: string;
}

export interface HostModule {
  /** What messages call the text: `kernels.cu`. */
  readonly file: string;
  readonly source: string;
  readonly includeFolders: readonly string[];
}

interface Outcome {
  readonly status: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
  /** Why it could not be started or had to be stopped. */
  readonly failure?: string;
}

/** Longer than any module takes on a slow machine. */
const mostMilliseconds = 300_000;

function run(command: string, args: readonly string[], folder?: string): Promise<Outcome> {
  return new Promise((resolve) => {
    let [stdout, stderr] = ["", ""];
    let failure: string | undefined;
    const child = spawn(command, args, {
      cwd: folder,
      stdio: ["ignore", "pipe", "pipe"],
      // Messages are parsed.
      env: { ...process.env, LC_ALL: "C" },
    });
    const timer = setTimeout(() => {
      failure = `stopped after ${mostMilliseconds / 1000} s`;
      child.kill("SIGKILL");
    }, mostMilliseconds);
    child.stdout.on("data", (chunk) => {
      stdout += chunk;
    });
    child.stderr.on("data", (chunk) => {
      stderr += chunk;
    });
    child.on("error", (error) => {
      clearTimeout(timer);
      resolve({ status: undefined, stdout, stderr, failure: error.message });
    });
    child.on("close", (status) => {
      clearTimeout(timer);
      resolve({ status: status ?? undefined, stdout, stderr, ...(failure === undefined ? {} : { failure }) });
    });
  });
}

/**
 * The first of CXX, c++, g++ and clang++ that answers.
 * @throws WeftError that names what was tried.
 */
export async function findHostCompiler(
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Promise<HostCompiler> {
  const fromEnvironment = environment.CXX?.trim() ?? "";
  // Whoever sets CXX means this one.
  const candidates = fromEnvironment === "" ? ["c++", "g++", "clang++"] : [fromEnvironment];
  const tried: string[] = [];
  for (const candidate of candidates) {
    const [command, ...args] = candidate.split(/\s+/) as [string, ...string[]];
    const { status, stdout, failure } = await run(command, [...args, "--version"]);
    if (status === 0) return { command, args, version: stdout.split("\n", 1)[0]!.trim() };
    tried.push(`${candidate}: ${failure ?? `exit status ${status}`}`);
  }
  throw new WeftError([
    unsupportedProblem("host compiler", "cuda-sim needs a C++20 compiler", {
      given: tried.join(", "),
      remedy:
        fromEnvironment === ""
          ? "install g++ or clang++, or name one in the environment variable CXX"
          : "CXX must name a compiler that runs",
    }),
  ]);
}

function problemsOf(module: HostModule, outcome: Outcome, compiler: HostCompiler): [Problem, ...Problem[]] {
  const found = compilerMessages(outcome.stderr).map(({ file, line, message }) => {
    const text = file === module.file ? module.source.split("\n")[line - 1]?.trim() : undefined;
    return userProblem("host compiler", message, {
      location: `${file}:${line}`,
      ...(text === undefined ? {} : { given: text }),
    });
  });
  if (found.length > 0) return found as [Problem, ...Problem[]];
  return [
    userProblem("host compiler", `${compiler.command} must compile ${module.file}`, {
      given: outcome.failure ?? (outcome.stderr.trim().slice(-2000) || `exit status ${outcome.status}`),
    }),
  ];
}

/**
 * The bytes of a shared object for the simulated driver. Depends on nothing but its arguments and the files included.
 * @throws WeftError with a problem for each of the compiler's first errors.
 */
export async function compileForHost(module: HostModule, compiler: HostCompiler): Promise<Uint8Array> {
  const folder = await mkdtemp(join(tmpdir(), "weft-sim-compile-"));
  try {
    await writeFile(join(folder, module.file), module.source);
    const includes = [simulatorFolder, ...module.includeFolders].map((include) => `-I${include}`);
    const args = [...compiler.args, ...hostFlags, ...includes, "-o", "module.so", module.file];
    const outcome = await run(compiler.command, args, folder);
    if (outcome.status !== 0) throw new WeftError(problemsOf(module, outcome, compiler));
    return await readFile(join(folder, "module.so"));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * The host's compiler as a compiler of modules for the simulator, whatever the target.
 * @throws WeftError that names what was tried, where there is none.
 */
export async function hostKernelCompiler(): Promise<Compiler> {
  const compiler = await findHostCompiler();
  return {
    name: [compiler.command, ...compiler.args].join(" "),
    version: compiler.version,
    flags: hostFlags,
    preludeFolders: [simulatorFolder],
    compile: async (source) => ({
      image: await compileForHost({ file: "kernels.cu", source, includeFolders: [] }, compiler),
      log: "",
    }),
  };
}
