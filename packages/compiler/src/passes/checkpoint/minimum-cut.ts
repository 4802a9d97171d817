/** The cheapest set of nodes whose removal parts the sources of a network from its sinks. */

export interface Network {
  readonly count: number;
  /** What it costs to take node i into the cut; infinity: it may not be taken. */
  readonly weights: readonly number[];
  /** Pairs of nodes: from, to. */
  readonly edges: readonly (readonly [number, number])[];
  readonly sources: readonly number[];
  readonly sinks: readonly number[];
}

interface Arc {
  readonly to: number;
  capacity: number;
  /** Its place among the arcs of `to`, in the other direction. */
  readonly back: number;
}

/**
 * Menger's theorem, by Dinic's maximum flow: every node is an arc from its entry to its exit with the node's weight. Of
 * several cheapest cuts the one nearest to the sinks is taken.
 * @returns the nodes of the cut, or undefined where nothing that may be taken parts the two.
 */
export function minimumCut(network: Network): number[] | undefined {
  const { count, weights, edges, sources, sinks } = network;
  const [source, sink] = [2 * count, 2 * count + 1];
  const arcs: Arc[][] = Array.from({ length: 2 * count + 2 }, () => []);
  const connect = (from: number, to: number, capacity: number) => {
    arcs[from]!.push({ to, capacity, back: arcs[to]!.length });
    arcs[to]!.push({ to: from, capacity: 0, back: arcs[from]!.length - 1 });
  };
  weights.forEach((weight, node) => {
    connect(entry(node), exit(node), weight);
  });
  for (const [from, to] of edges) connect(exit(from), entry(to), Number.POSITIVE_INFINITY);
  for (const node of sources) connect(source, entry(node), Number.POSITIVE_INFINITY);
  for (const node of sinks) connect(exit(node), sink, Number.POSITIVE_INFINITY);
  if (!saturate(arcs, source, sink)) return undefined;
  // What still reaches the sink lies behind the cut.
  const reaches = new Array<boolean>(arcs.length).fill(false);
  reaches[sink] = true;
  const pending = [sink];
  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    for (const { to, back } of arcs[at]!) {
      if (reaches[to] || arcs[to]![back]!.capacity === 0) continue;
      reaches[to] = true;
      pending.push(to);
    }
  }
  return weights.flatMap((_, node) => (!reaches[entry(node)] && reaches[exit(node)] ? [node] : []));
}

const entry = (node: number) => 2 * node;
const exit = (node: number) => 2 * node + 1;

/** Sends as much as goes from source to sink. False where there is no end to it. */
function saturate(arcs: readonly Arc[][], source: number, sink: number): boolean {
  for (;;) {
    const level = levelsFrom(arcs, source);
    if (level[sink] === -1) return true;
    const next = new Int32Array(arcs.length);
    for (;;) {
      const sent = push(arcs, level, next, source, sink, Number.POSITIVE_INFINITY);
      if (sent === 0) break;
      if (sent === Number.POSITIVE_INFINITY) return false;
    }
  }
}

function levelsFrom(arcs: readonly Arc[][], source: number): Int32Array {
  const level = new Int32Array(arcs.length).fill(-1);
  level[source] = 0;
  const queue = [source];
  for (const at of queue) {
    for (const { to, capacity } of arcs[at]!) {
      if (capacity === 0 || level[to] !== -1) continue;
      level[to] = level[at]! + 1;
      queue.push(to);
    }
  }
  return level;
}

function push(
  arcs: readonly Arc[][],
  level: Int32Array,
  next: Int32Array,
  at: number,
  sink: number,
  limit: number,
): number {
  if (at === sink) return limit;
  const own = arcs[at]!;
  for (; next[at]! < own.length; next[at]!++) {
    const arc = own[next[at]!]!;
    if (arc.capacity === 0 || level[arc.to] !== level[at]! + 1) continue;
    const sent = push(arcs, level, next, arc.to, sink, Math.min(limit, arc.capacity));
    if (sent === 0) continue;
    arc.capacity -= sent;
    arcs[arc.to]![arc.back]!.capacity += sent;
    return sent;
  }
  return 0;
}
