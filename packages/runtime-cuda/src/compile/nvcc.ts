/** nvcc as a compiler of modules: text to a cubin, ahead of time. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { userProblem, WeftError } from "@weft/dsl";
import type { Compilation, CudaCompiler } from "./compiler.ts";
import { problemsOf } from "./diagnostics.ts";
import { type FindNvccOptions, requireNvcc } from "./find-nvcc.ts";
import { runProcess } from "./run-process.ts";
import { capabilityOf, targetFacts } from "./targets.ts";

export interface NvccOptions extends FindNvccOptions {
  /** The compiler is ended when a module takes longer. Default 600. */
  readonly timeoutSeconds?: number;
  /** Ends a compilation that is under way. */
  readonly signal?: AbortSignal;
  /** It is refused at once where it does not know this target. */
  readonly target?: string;
}

/** The standard is that of NVRTC's use. Registers and spills are reported whether asked for or not: they cost nothing. */
const flags = ["-cubin", "-std=c++17", "-O3", "-Xptxas", "-v"] as const;

/** @throws WeftError with the places that were tried, where there is no nvcc or it does not know the target. */
export async function nvccCompiler(options: NvccOptions = {}): Promise<CudaCompiler> {
  const { path, version } = await requireNvcc(options);
  const { environment = process.env, timeoutSeconds = 600, signal } = options;
  if (options.target !== undefined) await requireTarget(path, version, options.target, environment);
  return {
    name: "nvcc",
    version,
    toolkitVersion: version.split(".").slice(0, 2).join("."),
    flags,
    compile: async (source, target): Promise<Compilation> => {
      targetFacts(target);
      const folder = await mkdtemp(join(tmpdir(), "weft-nvcc-"));
      try {
        await writeFile(join(folder, "kernels.cu"), source);
        const argv = [...flags, `-arch=${target}`, "-o", "kernels.cubin", "kernels.cu"];
        const { code, output, timedOut } = await runProcess(path, argv, {
          cwd: folder,
          // Its temporary files go the same way, also when it is ended; its messages are parsed.
          environment: { ...environment, TMPDIR: folder, LC_ALL: "C" },
          timeoutSeconds,
          signal,
        });
        const compiler = `nvcc ${version}`;
        if (timedOut) {
          throw new WeftError([
            userProblem(compiler, `must compile a module within ${timeoutSeconds} s`, {
              given: "a compilation that took longer",
              remedy: "try again on a machine that is less busy",
            }),
          ]);
        }
        if (signal?.aborted === true) {
          throw new WeftError([
            userProblem(compiler, "must not be interrupted", { given: "an interruption" }),
          ]);
        }
        if (code !== 0) throw new WeftError(problemsOf({ compiler, target, source, output }));
        return { image: await readFile(join(folder, "kernels.cubin")), log: output };
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    },
  };
}

async function requireTarget(
  path: string,
  version: string,
  target: string,
  environment: NodeJS.ProcessEnv,
): Promise<void> {
  const { code, output } = await runProcess(path, ["--list-gpu-arch"], { environment, timeoutSeconds: 30 });
  const known = [...output.matchAll(/^compute_(\d+)$/gm)].map((found) => Number(found[1]));
  // One that does not say is asked by compiling.
  if (code !== 0 || known.length === 0 || known.includes(capabilityOf(target))) return;
  throw new WeftError([
    userProblem("nvcc", `nvcc must know the GPU's architecture ${target}`, {
      given: `nvcc ${version} (${path})`,
      remedy: "install a newer CUDA toolkit or name its nvcc in WEFT_NVCC",
    }),
  ]);
}
