/** NVRTC, NVIDIA's compiler as a library: kernel text to a cubin where there is no toolkit. */
import { type Problem, userProblem, WeftError } from "@weft/dsl";
import { nativeCall } from "@weft/runtime";
import { addon } from "../addon.ts";
import type { Compiler } from "./compiler.ts";
import { compilerMessages } from "./compiler-messages.ts";

const native = nativeCall("runtime-cuda");

export interface Nvrtc {
  /** The library that was found. */
  readonly path: string;
  /** "13.0". */
  readonly version: string;
}

/** @throws WeftError with the places tried when there is no NVRTC. */
export function describeNvrtc(): Nvrtc {
  const { path, major, minor } = native(() => addon().describeCompiler());
  return { path, version: `${major}.${minor}` };
}

/** Part of what a compilation depends on, so a cache's key needs them. */
export const nvrtcFlags: readonly string[] = ["--std=c++17"];

export interface NvrtcModule {
  /** What messages call the text: `kernels.cu`. */
  readonly file: string;
  /** Self-contained: nothing is included from files. */
  readonly source: string;
}

function problemsOf(module: NvrtcModule, log: string): [Problem, ...Problem[]] {
  const found = compilerMessages(log).map(({ file, line, message }) => {
    const text = file === module.file ? module.source.split("\n")[line - 1]?.trim() : undefined;
    return userProblem("nvrtc", message, {
      location: `${file}:${line}`,
      ...(text === undefined ? {} : { given: text }),
    });
  });
  if (found.length > 0) return found as [Problem, ...Problem[]];
  return [userProblem("nvrtc", `NVRTC must compile ${module.file}`, { given: log.trim().slice(-2000) })];
}

/**
 * Compiles for one architecture ("sm_90a"), off the event loop.
 * @throws WeftError when there is no NVRTC, or with a problem for each of the compiler's first errors.
 */
export async function compileWithNvrtc(module: NvrtcModule, arch: string): Promise<Uint8Array> {
  const { image, log } = await native(() =>
    addon().compileText(module.source, module.file, arch, nvrtcFlags),
  );
  if (image === undefined) throw new WeftError(problemsOf(module, log));
  return image;
}

/**
 * NVRTC as a compiler of modules.
 * @throws WeftError with the places tried when there is no NVRTC.
 */
export function nvrtcCompiler(): Compiler {
  const { version } = describeNvrtc();
  return {
    name: "nvrtc",
    version,
    flags: nvrtcFlags,
    compile: async (source, target) => ({
      image: await compileWithNvrtc({ file: "kernels.cu", source }, target),
      log: "",
    }),
  };
}
