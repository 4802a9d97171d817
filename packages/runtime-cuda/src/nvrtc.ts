/** NVRTC: CUDA C++ text to images, where there is no toolkit. */
import { userProblem, WeftError } from "@weft/dsl";
import { nativeCall } from "@weft/runtime";
import { addon } from "./addon.ts";

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

export interface CompilerMessage {
  readonly file: string;
  readonly line: number;
  readonly text: string;
}

/** The lines of a compiler's log that name a place: `name(12): error: text`, or `name:12: error: text`. */
export function compilerMessages(log: string): CompilerMessage[] {
  return log.split("\n").flatMap((line) => {
    const match = /^(.+?)(?:\((\d+)\)|:(\d+)(?::\d+)?): (.*)$/.exec(line);
    return match ? [{ file: match[1]!, line: Number(match[2] ?? match[3]), text: match[4]! }] : [];
  });
}

/**
 * Compiles a module for one architecture ("sm_90a"), off the event loop.
 * @throws WeftError when the text does not compile, with file, line and message of every error.
 */
export async function compileWithNvrtc(
  module: { readonly name: string; readonly source: string },
  arch: string,
  options: readonly string[] = ["--std=c++17"],
): Promise<Uint8Array> {
  const { image, log } = await native(() =>
    addon().compileText(module.source, `${module.name}.cu`, arch, options),
  );
  if (image !== undefined) return image;
  const errors = compilerMessages(log).filter(({ text }) => /^(?:catastrophic )?error/.test(text));
  const shown = errors.map(({ file, line, text }) => `${file}:${line}: ${text}`).join("\n");
  throw new WeftError([
    userProblem("runtime-cuda", "the kernels must compile", {
      given: shown === "" ? log : shown,
      location: `${module.name}.cu for ${arch}`,
    }),
  ]);
}
