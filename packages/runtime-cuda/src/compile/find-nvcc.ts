/** Where nvcc is: an override, the path, a toolkit, or pip's package nvidia-cuda-nvcc in a virtual environment. */
import { readdirSync, statSync } from "node:fs";
import { delimiter, join } from "node:path";
import { userProblem, WeftError } from "@weft/dsl";
import { runProcess } from "./run-process.ts";

export interface FoundNvcc {
  readonly path: string;
  /** `13.0.88` */
  readonly version: string;
}

/** A place that was looked at, and what was there. */
export interface TriedPlace {
  readonly place: string;
  readonly found: string;
}

export interface NvccSearch {
  readonly nvcc: FoundNvcc | undefined;
  readonly tried: readonly TriedPlace[];
}

export interface FindNvccOptions {
  readonly environment?: NodeJS.ProcessEnv;
  /** A virtual environment to look in besides VIRTUAL_ENV. */
  readonly venv?: string;
}

const executable = process.platform === "win32" ? "nvcc.exe" : "nvcc";

/**
 * Looks at WEFT_NVCC alone where it is set; else at PATH, CUDA_HOME and CUDA_PATH, the usual folder of the toolkit, and
 * virtual environments. Never throws: what was tried says why nothing was found.
 */
export async function findNvcc({
  environment = process.env,
  venv,
}: FindNvccOptions = {}): Promise<NvccSearch> {
  const places = placesOf(environment, venv);
  const absent = places.filter(({ place }) => !isFile(place));
  // Folders of the path are many, and say nothing one by one.
  const onPath = absent.filter(({ isOnPath }) => isOnPath).length;
  const tried: TriedPlace[] =
    onPath === 0
      ? []
      : [{ place: `PATH (${onPath} ${onPath === 1 ? "folder" : "folders"})`, found: "nothing there" }];
  for (const one of places) {
    const { place, isOnPath } = one;
    if (absent.includes(one)) {
      if (!isOnPath) tried.push({ place, found: "nothing there" });
      continue;
    }
    const { code, output } = await runProcess(place, ["--version"], { environment, timeoutSeconds: 30 });
    const version = /\bV(\d+\.\d+\.\d+)/.exec(output)?.[1];
    if (code === 0 && version !== undefined) return { nvcc: { path: place, version }, tried };
    tried.push({ place, found: `it does not run: ${output.trim().split("\n").at(-1)}` });
  }
  return { nvcc: undefined, tried };
}

/** @throws WeftError with every place that was tried. */
export async function requireNvcc(options: FindNvccOptions = {}): Promise<FoundNvcc> {
  const { nvcc, tried } = await findNvcc(options);
  if (nvcc !== undefined) return nvcc;
  throw new WeftError([
    userProblem("nvcc", "must be there to compile ahead of time", {
      remedy: `install the CUDA toolkit, or \`pip install nvidia-cuda-nvcc nvidia-cuda-crt nvidia-cuda-runtime nvidia-nvvm\`, or set WEFT_NVCC to its path; ${formatTried(tried)}`,
    }),
  ]);
}

/** One place on each line. */
export const formatTried = (tried: readonly TriedPlace[]): string =>
  ["tried:", ...tried.map(({ place, found }) => `  ${place}: ${found}`)].join("\n");

interface Place {
  readonly place: string;
  readonly isOnPath: boolean;
}

function placesOf(environment: NodeJS.ProcessEnv, venv: string | undefined): Place[] {
  if (environment.WEFT_NVCC) return [{ place: environment.WEFT_NVCC, isOnPath: false }];
  const path = new Set((environment.PATH ?? "").split(delimiter).filter((folder) => folder !== ""));
  const folders = [
    ...path,
    ...[environment.CUDA_HOME, environment.CUDA_PATH, "/usr/local/cuda"]
      .filter((folder) => folder !== undefined && folder !== "")
      .map((folder) => join(folder!, "bin")),
    ...[venv, environment.VIRTUAL_ENV]
      .filter((folder) => folder !== undefined && folder !== "")
      .flatMap((folder) => pipFolders(folder!)),
  ];
  return [...new Set(folders)].map((folder) => ({
    place: join(folder, executable),
    isOnPath: path.has(folder),
  }));
}

/** `lib/python3.N/site-packages/nvidia/{cu13,cuda_nvcc}/bin`: the layouts of the packages since version 13 and before. */
function pipFolders(venv: string): string[] {
  const pythons = namesIn(join(venv, "lib")).filter((name) => name.startsWith("python"));
  const packages = pythons.map((python) => join(venv, "lib", python, "site-packages/nvidia"));
  if (packages.length === 0) return [join(venv, "lib/python3/site-packages/nvidia/cu13/bin")];
  return packages.flatMap((folder) => [join(folder, "cu13/bin"), join(folder, "cuda_nvcc/bin")]);
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
