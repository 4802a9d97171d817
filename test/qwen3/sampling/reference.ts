/** The sampler as its documentation says, with full sorts: slow and plain. */
import type { ResolvedSamplerOptions } from "../../../packages/qwen3/src/sampling/index.ts";

export interface Kept {
  /** Ascending. */
  readonly ids: readonly number[];
  /** Relative to the likeliest token. */
  readonly weights: readonly number[];
  /** Something lies so close to a threshold that the last bits decide. */
  readonly ambiguous: boolean;
}

export function penalised(logits: Float32Array, penalty: number, seen: Iterable<number>): Float32Array {
  const values = Float32Array.from(logits);
  for (const id of new Set(seen)) {
    if (id in values) values[id] = values[id]! < 0 ? values[id]! * penalty : values[id]! / penalty;
  }
  return values;
}

export function keptTokens(
  logits: Float32Array,
  options: ResolvedSamplerOptions,
  seen: Iterable<number>,
): Kept {
  const values = penalised(logits, options.repetitionPenalty, seen);
  let order = [...values.keys()].sort((a, b) => (values[a] === values[b] ? a - b : values[b]! - values[a]!));
  const largest = values[order[0]!]!;
  if (options.temperature <= 0) return { ids: [order[0]!], weights: [1], ambiguous: false };
  const weight = (id: number) => Math.exp(-(largest - values[id]!) / options.temperature);
  if (options.topK > 0) order = order.slice(0, options.topK);
  let ambiguous = false;
  if (options.topP < 1) {
    const total = order.reduce((sum, id) => sum + weight(id), 0);
    const wanted = options.topP * total;
    let sum = 0;
    const nucleus: number[] = [];
    for (const id of order) {
      if (Math.abs(sum - wanted) < 1e-9 * total && nucleus.length > 0) ambiguous = true;
      if (sum >= wanted && nucleus.length > 0) break;
      nucleus.push(id);
      sum += weight(id);
    }
    order = nucleus;
  }
  if (options.minP < 1 && order.some((id) => Math.abs(weight(id) - options.minP) < 1e-12))
    ambiguous = options.minP > 0;
  const ids = order.filter((id) => weight(id) >= options.minP).sort((a, b) => a - b);
  return { ids, weights: ids.map(weight), ambiguous };
}

/** Inverse of the cumulative distribution. */
export function draw({ ids, weights }: Kept, uniform: number): number {
  let rest = uniform * weights.reduce((sum, weight) => sum + weight, 0);
  let last = ids[0]!;
  for (const [index, id] of ids.entries()) {
    if (weights[index] === 0) continue;
    last = id;
    rest -= weights[index]!;
    if (rest < 0) break;
  }
  return last;
}
