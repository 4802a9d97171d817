/** "Did you mean": the nearest known name, by edit distance. */

/**
 * Levenshtein distance, given up (as `limit + 1`) as soon as it must exceed `limit`: with 400 missing names
 * against 400 given ones the full table would be noticeable.
 */
export function editDistance(left: string, right: string, limit = Number.POSITIVE_INFINITY): number {
  if (Math.abs(left.length - right.length) > limit) return limit + 1;
  let previous = Array.from({ length: right.length + 1 }, (_, column) => column);
  for (let row = 1; row <= left.length; row++) {
    const current = [row];
    let smallest = row;
    for (let column = 1; column <= right.length; column++) {
      const substitution = left.charCodeAt(row - 1) === right.charCodeAt(column - 1) ? 0 : 1;
      const distance = Math.min(
        previous[column]! + 1,
        current[column - 1]! + 1,
        previous[column - 1]! + substitution,
      );
      current.push(distance);
      if (distance < smallest) smallest = distance;
    }
    if (smallest > limit) return limit + 1;
    previous = current;
  }
  return Math.min(previous[right.length]!, limit + 1);
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
