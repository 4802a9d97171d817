/** What a C++ compiler complains of, from what it prints; GCC, clang, NVRTC and nvcc differ in little. */

export interface CompilerMessage {
  /** Without its folder. */
  readonly file: string;
  readonly line: number;
  readonly message: string;
  /** For an error inside a template, where the compiler says so: the place that uses it. */
  readonly usedAt: { readonly file: string; readonly line: number } | undefined;
}

const withoutFolder = (path: string): string => path.slice(path.lastIndexOf("/") + 1);

/** All errors. `kernels.cu:12:3: error: ...` (GCC, clang) or `kernels.cu(12): error #20-D: ...` (NVRTC, nvcc). */
export function compilerMessages(output: string): CompilerMessage[] {
  const pattern =
    /^(.+?)(?::(\d+)(?::\d+)?:|\((\d+)\):)\s*(?:fatal |catastrophic )?error\s*(?:#\S+)?:\s*(.+)$/;
  const lines = output.split("\n");
  return lines.flatMap((text, index) => {
    const found = pattern.exec(text);
    if (found === null) return [];
    const [, path, colon, paren, message] = found;
    // What belongs to an error is indented below it.
    const end = lines.findIndex((one, later) => later > index && /^\S/.test(one));
    const detail = lines.slice(index + 1, end < 0 ? undefined : end).join("\n");
    const [, line, user] = /at line (\d+) of "?([^"\s]+)/.exec(detail) ?? [];
    return {
      file: withoutFolder(path!),
      line: Number(colon ?? paren),
      message: message!.trim(),
      usedAt: user === undefined ? undefined : { file: withoutFolder(user), line: Number(line) },
    };
  });
}
