/** "Did you mean": the nearest known name, by edit distance. */

/**
 * Levenshtein distance, given up (as `limit + 1`) as soon as it must exceed `limit`. Common ends are cut off first
 * and only the diagonal band within the limit is computed: 400 missing names are compared with 400 given ones.
 */
export function editDistance(
  left: string,
  right: string,
  limit = Math.max(left.length, right.length),
): number {
  let begin = 0;
  let leftEnd = left.length;
  let rightEnd = right.length;
  while (begin < leftEnd && begin < rightEnd && left.charCodeAt(begin) === right.charCodeAt(begin)) begin++;
  while (
    leftEnd > begin &&
    rightEnd > begin &&
    left.charCodeAt(leftEnd - 1) === right.charCodeAt(rightEnd - 1)
  ) {
    leftEnd--;
    rightEnd--;
  }
  const [rows, columns] = [leftEnd - begin, rightEnd - begin];
  if (Math.abs(rows - columns) > limit) return limit + 1;
  const beyond = limit + 1;
  let previous = Array.from({ length: columns + 1 }, (_, column) => Math.min(column, beyond));
  for (let row = 1; row <= rows; row++) {
    const current: number[] = new Array(columns + 1).fill(beyond);
    if (row <= limit) current[0] = row;
    let smallest = current[0]!;
    for (let column = Math.max(1, row - limit); column <= Math.min(columns, row + limit); column++) {
      const same = left.charCodeAt(begin + row - 1) === right.charCodeAt(begin + column - 1);
      const distance = Math.min(
        previous[column]! + 1,
        current[column - 1]! + 1,
        previous[column - 1]! + (same ? 0 : 1),
        beyond,
      );
      current[column] = distance;
      if (distance < smallest) smallest = distance;
    }
    if (smallest > limit) return beyond;
    previous = current;
  }
  return previous[columns]!;
}

/**
 * The candidate that a reader would take for a misspelling of `name`: at most a third of its letters differ, and
 * never more than three. The first of equally near candidates wins.
 */
export function nearestName(name: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  let limit = Math.min(3, Math.floor(name.length / 3));
  for (const candidate of candidates) {
    const distance = editDistance(name, candidate, limit);
    if (distance > limit) continue;
    best = candidate;
    limit = distance - 1;
    if (limit < 0) break;
  }
  return best;
}
