/** From a place in self-contained text back to the file that it came from, and to the kernel around it. */

/**
 * The lines of each file that `#line` marks name, by file and line number; index 0 is unused. What comes before the first
 * mark belongs to `file`.
 */
export function linesByFile(source: string, file: string): Map<string, string[]> {
  let [lines, next] = [[""], 1];
  const files = new Map([[file, lines]]);
  for (const text of source.split("\n")) {
    const mark = /^#line (\d+) "([^"]+)"$/.exec(text);
    if (mark === null) {
      lines[next++] = text;
      continue;
    }
    const file = mark[2]!;
    lines = files.get(file) ?? [""];
    files.set(file, lines);
    next = Number(mark[1]);
  }
  return files;
}

export interface KernelAt {
  /** The comment's first line: what the kernel computes. */
  readonly name: string;
  /** Paths of the blocks that it serves, as the comment lists them. */
  readonly origin: string | undefined;
}

/** The comment above the kernel that a line of generated text belongs to. */
export function kernelAt(lines: readonly string[], line: number): KernelAt | undefined {
  let last = Math.min(line, lines.length - 1);
  while (last > 0 && !/^\/\/ /.test(lines[last] ?? "")) last--;
  if (last === 0) return undefined;
  let first = last;
  while (first > 1 && /^\/\/ /.test(lines[first - 1] ?? "")) first--;
  const comment = lines.slice(first, last + 1).map((text) => text.slice(3));
  const origin = comment.find((text) => text.startsWith("of "))?.slice(3);
  return { name: comment[0]!, origin };
}
