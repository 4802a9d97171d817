/** The line of a text in which a mistake lies, with a caret under the spot. */

const widest = 100;

/** Two lines, indented. Of a long line only what is around the spot. */
export function excerptAt(text: string, at: number): string {
  const begin = text.lastIndexOf("\n", at - 1) + 1;
  const end = text.indexOf("\n", at);
  const line = text.slice(begin, end < 0 ? text.length : end).replaceAll("\t", " ");
  const column = at - begin;
  const from = line.length <= widest ? 0 : Math.max(0, Math.min(column - widest / 2, line.length - widest));
  const [before, after] = [from > 0 ? "..." : "", from + widest < line.length ? "..." : ""];
  const shown = `${before}${line.slice(from, from + widest)}${after}`;
  // Lines of a text in several lines are indented with it; what all have in common says nothing.
  const indentation = shown.length - shown.trimStart().length;
  const spaces = " ".repeat(Math.max(0, before.length + column - from - indentation));
  return `  ${shown.trim()}\n  ${spaces}^`;
}
