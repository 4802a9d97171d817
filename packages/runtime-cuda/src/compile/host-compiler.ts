/** Compiles kernel text for the simulator: the host's C++ compiler makes a shared object of it. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { unsupportedProblem, userProblem, WeftError } from "@weft/dsl";
import type { Compiler } from "./compiler.ts";
import { problemsOf } from "./diagnostics.ts";
import { runProcess } from "./run-process.ts";

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
  /** Behind `hostFlags`, so that they decide: those of WEFT_SIM_FLAGS. */
  readonly lastArgs?: readonly string[];
  /** The first line that it says of itself. */
  readonly version: string;
}

export interface HostModule {
  /** What messages call the text: `kernels.cu`. */
  readonly file: string;
  readonly source: string;
  readonly includeFolders: readonly string[];
}

/** Longer than any module takes on a slow machine. */
const mostSeconds = 300;

/** Its messages are parsed. */
const environment = () => ({ ...process.env, LC_ALL: "C" });

/**
 * The first of CXX, c++, g++ and clang++ that answers.
 * @throws WeftError that names what was tried.
 */
export async function findHostCompiler(
  variables: Readonly<Record<string, string | undefined>> = process.env,
): Promise<HostCompiler> {
  const fromEnvironment = variables.CXX?.trim() ?? "";
  // Whoever sets CXX means this one.
  const candidates = fromEnvironment === "" ? ["c++", "g++", "clang++"] : [fromEnvironment];
  const lastArgs = variables.WEFT_SIM_FLAGS?.split(/\s+/).filter((flag) => flag !== "") ?? [];
  const tried: string[] = [];
  for (const candidate of candidates) {
    const [command, ...args] = candidate.split(/\s+/) as [string, ...string[]];
    const { code, output } = await runProcess(command, [...args, "--version"], {
      environment: environment(),
      timeoutSeconds: 30,
    });
    if (code === 0) return { command, args, lastArgs, version: output.split("\n", 1)[0]!.trim() };
    tried.push(`${candidate}: ${code === null ? output : `exit status ${code}`}`);
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

/**
 * The bytes of a shared object for the simulated driver. Depends on nothing but its arguments and the files included.
 * @throws WeftError with a problem for each of the compiler's first errors, or because it does not run.
 */
export async function compileForHost(module: HostModule, compiler: HostCompiler): Promise<Uint8Array> {
  const folder = await mkdtemp(join(tmpdir(), "weft-sim-compile-"));
  try {
    await writeFile(join(folder, module.file), module.source);
    const includes = [simulatorFolder, ...module.includeFolders].map((include) => `-I${include}`);
    const flags = [...compiler.args, ...hostFlags, ...includes, ...(compiler.lastArgs ?? [])];
    const args = [...flags, "-o", "module.so", module.file];
    const { code, output, timedOut } = await runProcess(compiler.command, args, {
      cwd: folder,
      environment: environment(),
      timeoutSeconds: mostSeconds,
    });
    if (code === null) {
      throw new WeftError([
        userProblem("host compiler", `${compiler.command} must run and end within ${mostSeconds} s`, {
          given: timedOut ? `a compilation of ${module.file} that took longer` : output,
        }),
      ]);
    }
    if (code !== 0) {
      const { file, source } = module;
      throw new WeftError(
        problemsOf({ compiler: "host compiler", target: "cuda-sim", source, file, output }),
      );
    }
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
    flags: [...hostFlags, ...(compiler.lastArgs ?? [])],
    preludeFolders: [simulatorFolder],
    compile: async (source) => ({
      image: await compileForHost({ file: "kernels.cu", source, includeFolders: [] }, compiler),
      log: "",
    }),
  };
}
