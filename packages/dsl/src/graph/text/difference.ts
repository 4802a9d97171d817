/**
 * What differs between two texts of graphs, node by node. Ids shift when a node comes in between, so lines are paired
 * without them (Myers 1986), and what a node reads is compared by which nodes are pairs.
 */

/** A line that only one side has. Of a node that is there twice but reads others, both lines are given. */
export interface TextChange {
  readonly sign: "-" | "+";
  readonly line: string;
  /** The block's path; of text without any, empty. */
  readonly path: string;
}

/** Edits that are looked for; texts that differ in more are told apart as a whole. */
const mostEdits = 2000;

/** The lines that only `before` has (`-`) and only `after` has (`+`), in order; none where both say the same. */
export function differenceOfTexts(before: string, after: string): readonly TextChange[] {
  const [left, right] = [linesOf(before), linesOf(after)];
  const partnerOf = pairLines(left.map(withoutIds), right.map(withoutIds));
  const idOf = pairIds(left, right, partnerOf);
  const changes: TextChange[] = [];
  const say = (sign: "-" | "+", line: string) =>
    changes.push({ sign, line: line.trim(), path: pathOf(line) });
  let next = 0;
  for (const [at, partner] of partnerOf.entries()) {
    const line = left[at]!;
    if (partner < 0) {
      say("-", line);
      continue;
    }
    while (next < partner) say("+", right[next++]!);
    next = partner + 1;
    if (line.replace(/%\d+/g, (id) => idOf.get(id) ?? `${id}?`) === right[partner]) continue;
    say("-", line);
    say("+", right[partner]!);
  }
  while (next < right.length) say("+", right[next++]!);
  return changes;
}

/**
 * Changes as text, under the path of the block that each belongs to.
 * @param most lines that are printed; how many more there are is said.
 */
export function formatChanges(changes: readonly TextChange[], most = 40): string {
  const lines: string[] = [];
  let path: string | undefined;
  for (const change of changes.slice(0, most)) {
    if (change.path !== path) {
      path = change.path;
      lines.push(`  ${path === "" ? "(at no path)" : path}`);
    }
    lines.push(`    ${change.sign} ${change.line}`);
  }
  if (changes.length > most) lines.push(`  ... and ${changes.length - most} more lines`);
  return lines.join("\n");
}

/**
 * Which node on the right stands for which on the left: that of the paired line. As many lines that are gone as new ones
 * in one place are changes of one node each, so that those who read it do not count as changed.
 */
function pairIds(
  left: readonly string[],
  right: readonly string[],
  partnerOf: Int32Array,
): ReadonlyMap<string, string> {
  const ids = new Map<string, string>();
  const pair = (at: number, partner: number) => {
    const [mine, its] = [definedId(left[at]!), definedId(right[partner]!)];
    if (mine !== undefined && its !== undefined) ids.set(mine, its);
  };
  let [at, next] = [0, 0];
  while (at < left.length) {
    const first = at;
    while (at < left.length && partnerOf[at]! < 0) at++;
    const partner = at < left.length ? partnerOf[at]! : right.length;
    if (partner - next === at - first) for (let i = first; i < at; i++) pair(i, next + i - first);
    if (at < left.length) pair(at, partner);
    next = partner + 1;
    at++;
  }
  return ids;
}

const linesOf = (text: string): string[] => text.replace(/\n$/, "").split("\n");
const withoutIds = (line: string): string => line.replace(/%\d+/g, "%");
const definedId = (line: string): string | undefined => /^\s*(%\d+) = /.exec(line)?.[1];

/** The path of a node stands behind its type; a path that is quoted is kept as it is. */
function pathOf(line: string): string {
  return /\] {2}# ("(?:[^"\\]|\\.)*"|\S+)/.exec(line)?.[1]?.replace(/^""$/, "") ?? "";
}

/** For each line on the left its equal on the right, in order and as many as possible; -1 for none. */
function pairLines(left: readonly string[], right: readonly string[]): Int32Array {
  const partners = new Int32Array(left.length).fill(-1);
  let begin = 0;
  let [leftEnd, rightEnd] = [left.length, right.length];
  while (begin < leftEnd && begin < rightEnd && left[begin] === right[begin]) {
    partners[begin] = begin;
    begin++;
  }
  while (leftEnd > begin && rightEnd > begin && left[leftEnd - 1] === right[rightEnd - 1]) {
    partners[--leftEnd] = --rightEnd;
  }
  const [rows, columns] = [leftEnd - begin, rightEnd - begin];
  const trace = editTrace(left, right, begin, rows, columns);
  if (trace === undefined) return partners;
  let [x, y] = [rows, columns];
  for (let edits = trace.length - 1; edits >= 0; edits--) {
    const reached = trace[edits]!;
    const diagonal = x - y;
    const down = edits > 0 && goesDown(reached, diagonal, edits);
    const from = edits === 0 ? 0 : reached[edits + (down ? diagonal + 1 : diagonal - 1)]!;
    const start = edits === 0 ? 0 : down ? from : from + 1;
    while (x > start) {
      x--;
      y--;
      partners[begin + x] = begin + y;
    }
    if (down) y--;
    else x--;
  }
  return partners;
}

/**
 * How far each diagonal (x - y) was reached before each further edit; row `d` holds diagonals -d to d. Undefined where
 * more than `mostEdits` would be needed.
 */
function editTrace(
  left: readonly string[],
  right: readonly string[],
  begin: number,
  rows: number,
  columns: number,
): readonly Int32Array[] | undefined {
  const trace: Int32Array[] = [];
  let reached = new Int32Array(1);
  for (let edits = 0; edits <= Math.min(rows + columns, mostEdits); edits++) {
    trace.push(reached);
    const further = new Int32Array(2 * edits + 3);
    for (let diagonal = -edits; diagonal <= edits; diagonal += 2) {
      let x = 0;
      if (edits > 0) {
        x = goesDown(reached, diagonal, edits)
          ? reached[edits + diagonal + 1]!
          : reached[edits + diagonal - 1]! + 1;
      }
      while (x < rows && x - diagonal < columns && left[begin + x] === right[begin + x - diagonal]) x++;
      further[edits + 1 + diagonal] = x;
      if (diagonal === rows - columns && x >= rows) return trace;
    }
    reached = further;
  }
  return undefined;
}

/** Whether the best way onto a diagonal with this many edits is an insertion. */
function goesDown(reached: Int32Array, diagonal: number, edits: number): boolean {
  if (diagonal === -edits) return true;
  return diagonal !== edits && reached[edits + diagonal - 1]! < reached[edits + diagonal + 1]!;
}
