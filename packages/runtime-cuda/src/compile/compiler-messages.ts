/** What a C++ compiler complains of, from what it prints; GCC, clang and NVRTC differ in little. */

export interface CompilerMessage {
  /** Without its folder. */
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

/** More than these are consequences of the first. */
const mostMessages = 8;

/** The first errors. `kernels.cu:12:3: error: ...` (GCC, clang) or `kernels.cu(12): error: ...` (NVRTC, nvcc). */
export function compilerMessages(output: string): CompilerMessage[] {
  const pattern =
    /^(.+?)(?::(\d+)(?::\d+)?:|\((\d+)\):)\s*(?:fatal |catastrophic )?error\s*(?:#\S+)?:\s*(.+)$/gm;
  return [...output.matchAll(pattern)].slice(0, mostMessages).map(([, path, colon, paren, message]) => ({
    file: path!.slice(path!.lastIndexOf("/") + 1),
    line: Number(colon ?? paren),
    message: message!.trim(),
  }));
}
