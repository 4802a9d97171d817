/**
 * Which tokens a filter keeps, without sorting a vocabulary of 150,000. "Before" means: larger logit, or the same
 * logit and lower id.
 */

/**
 * The id of the largest logit, the lowest of equals; -1 where every logit is -Infinity. NaN is found on the way:
 * its id comes back as soon as it is met.
 *
 * Four logits at a time: one by one, the loop itself costs more than the comparison.
 */
export function likeliest(logits: Float32Array): number {
  let best = -1;
  let largest = Number.NEGATIVE_INFINITY;
  for (let id = nextAbove(logits, 0, largest); id < logits.length; id = nextAbove(logits, id + 1, largest)) {
    best = id;
    largest = logits[id]!;
    if (Number.isNaN(largest)) break;
  }
  return best;
}

/** The first id from `begin` on whose logit is not at most `limit` (so it is larger, or NaN); else the length. */
function nextAbove(logits: Float32Array, begin: number, limit: number): number {
  const { length } = logits;
  let id = begin;
  for (; id + 3 < length; id += 4) {
    const none =
      logits[id]! <= limit &&
      logits[id + 1]! <= limit &&
      logits[id + 2]! <= limit &&
      logits[id + 3]! <= limit;
    if (!none) break;
  }
  while (id < length && logits[id]! <= limit) id++;
  return id;
}

/**
 * Ids of the `count` largest logits (ties: lowest ids), ascending by id. One pass with a heap whose root is the
 * last one kept: nearly every logit is refused by one comparison.
 *
 * @param logits `[vocab]` without NaN, more than `count` of them
 */
export function largestLogits(logits: Float32Array, count: number): Int32Array {
  const heap = new Int32Array(count);
  for (let id = 0; id < count; id++) heap[id] = id;
  for (let at = (count >> 1) - 1; at >= 0; at--) siftDown(heap, at, logits);
  let id = count;
  for (;;) {
    // An equal logit has a higher id than everything kept, so it comes after.
    id = nextAbove(logits, id, logits[heap[0]!]!);
    if (id === logits.length) return heap.sort();
    heap[0] = id++;
    siftDown(heap, 0, logits);
  }
}

/** Restores the heap below `at`: every parent comes after its children in the order of selection. */
function siftDown(heap: Int32Array, at: number, logits: Float32Array): void {
  const moving = heap[at]!;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && isBefore(heap[child]!, heap[child + 1]!, logits)) child++;
    if (!isBefore(moving, heap[child]!, logits)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = moving;
}

function isBefore(a: number, b: number, logits: Float32Array): boolean {
  const first = logits[a]!;
  const second = logits[b]!;
  return first > second || (first === second && a < b);
}

/** Buckets of the nucleus search, each a 128th wide on the scale of log probabilities. */
const bucketsPerUnit = 128;
const bucketCount = 4096;

/**
 * Cuts candidates down to the nucleus: the fewest likeliest ones whose weights sum to at least `share` of all. The
 * token at which the sum crosses the threshold is kept, and always at least one.
 *
 * Tokens too light to be in it are dropped first; of a peaked distribution that leaves a handful. The others are
 * collected in buckets by their distance from the likeliest; only the bucket at which the sum crosses needs an order.
 *
 * @param logits of the candidates, by ascending id, without NaN
 * @param weights `exp((logit - largest) * scale)` of the same candidates; on return those of the nucleus come first
 * @param total their sum
 * @param positions receives where the weights that come first have been, ascending
 * @returns the size of the nucleus
 */
export function cutToNucleus(
  logits: Float32Array,
  weights: Float64Array,
  positions: Int32Array,
  { largest, scale, total, share }: { largest: number; scale: number; total: number; share: number },
): number {
  // All that are lighter than this together weigh less than what the nucleus may leave out, so none of them is in
  // it. The factor leaves room for the rounding of the sums.
  const lightest = ((1 - share) * total * 0.999999) / logits.length;
  let count = 0;
  for (let position = 0; position < logits.length; position++) {
    if (weights[position]! < lightest) continue;
    weights[count] = weights[position]!;
    positions[count++] = position;
  }
  const bucketScale = scale * bucketsPerUnit;
  const sums = new Float64Array(bucketCount);
  for (let index = 0; index < count; index++) {
    const place = (largest - logits[positions[index]!]!) * bucketScale;
    sums[Math.min(place, bucketCount - 1) | 0]! += weights[index]!;
  }
  const wanted = share * total;
  let crossing = 0;
  let sum = 0;
  while (crossing < bucketCount - 1 && sum + sums[crossing]! < wanted) sum += sums[crossing++]!;
  const beyond = crossing === bucketCount - 1 ? Number.POSITIVE_INFINITY : crossing + 1;
  const contested: number[] = [];
  for (let index = 0; index < count; index++) {
    const place = (largest - logits[positions[index]!]!) * bucketScale;
    if (place < crossing) continue;
    if (place < beyond) contested.push(index);
    else weights[index] = 0;
  }
  contested.sort((a, b) => (isBefore(positions[a]!, positions[b]!, logits) ? -1 : 1));
  // The likeliest token is in bucket 0; where that bucket is the contested one it must not be lost.
  let kept = 0;
  while (kept < contested.length && (sum < wanted || (crossing === 0 && kept === 0))) {
    sum += weights[contested[kept++]!]!;
  }
  for (; kept < contested.length; kept++) weights[contested[kept]!] = 0;
  let length = 0;
  for (let index = 0; index < count; index++) {
    if (weights[index] === 0) continue;
    weights[length] = weights[index]!;
    positions[length++] = positions[index]!;
  }
  return length;
}
