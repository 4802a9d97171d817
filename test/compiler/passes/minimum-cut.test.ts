/** The minimum cut against all subsets of small networks. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { minimumCut, type Network } from "../../../packages/compiler/src/passes/checkpoint/minimum-cut.ts";
import fc from "../../support/fast-check.ts";

const test = suite("minimum cut");

function parts({ count, edges, sources, sinks }: Network, cut: ReadonlySet<number>): boolean {
  const seen = new Set(sources.filter((one) => !cut.has(one)));
  for (const node of seen) {
    if (sinks.includes(node)) return false;
    for (const [from, to] of edges) if (from === node && to < count && !cut.has(to)) seen.add(to);
  }
  return true;
}

const weightOf = ({ weights }: Network, cut: Iterable<number>) =>
  [...cut].reduce((sum, node) => sum + weights[node]!, 0);

function cheapest(network: Network): number {
  let best = Number.POSITIVE_INFINITY;
  for (let bits = 0; bits < 2 ** network.count; bits++) {
    const cut = new Set([...Array(network.count).keys()].filter((node) => (bits >> node) & 1));
    if (parts(network, cut)) best = Math.min(best, weightOf(network, cut));
  }
  return best;
}

const node = (count: number) => fc.integer({ min: 0, max: count - 1 });
const networks = fc.integer({ min: 2, max: 7 }).chain((count) =>
  fc.record({
    count: fc.constant(count),
    weights: fc.array(fc.oneof(fc.integer({ min: 0, max: 9 }), fc.constant(Number.POSITIVE_INFINITY)), {
      minLength: count,
      maxLength: count,
    }),
    edges: fc.array(fc.tuple(node(count), node(count)), { maxLength: 14 }),
    sources: fc.array(node(count), { minLength: 1, maxLength: 2 }),
    sinks: fc.array(node(count), { minLength: 1, maxLength: 3 }),
  }),
);

test("parts sources from sinks, and no set of less weight does", () => {
  fc.assert(
    fc.property(networks, (network) => {
      const best = cheapest(network);
      const cut = minimumCut(network);
      if (cut === undefined) return assert.is(best, Number.POSITIVE_INFINITY);
      assert.ok(parts(network, new Set(cut)));
      assert.is(weightOf(network, cut), best);
    }),
  );
});

test("of equal cuts, the one nearest to the sinks", () => {
  const chain = {
    count: 3,
    weights: [2, 2, 3],
    edges: [[0, 1] as const, [1, 2] as const],
    sources: [0],
    sinks: [2],
  };
  assert.equal(minimumCut(chain), [1]);
});

test.run();
