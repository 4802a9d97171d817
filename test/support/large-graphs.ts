/** Graphs of any number of nodes, for tests of what a compiler must not do with them. */
import { axis, type Graph, GraphBuilder } from "@weft/dsl";

const axes = [axis("seq", { symbol: "seq", max: 64 }), axis("hidden", 8)];

/** One op after the other, in no order that repeats soon. */
export function chainGraph(count: number): Graph {
  const ops = ["tanh", "exp", "neg", "abs", "sin"] as const;
  const builder = new GraphBuilder();
  let value = builder.add("input", [], { name: "x", dtype: "f32", axes });
  for (let index = 0; index < count; index++)
    value = builder.add(ops[(index * 7 + (index >> 3)) % ops.length]!, [value], {});
  return builder.finish("chain", [{ name: "y", node: value }]);
}

/** So many scalings of one value, each in a block of its own, added up pair by pair: no two are equal. */
export function treeGraph(leaves: number): Graph {
  const builder = new GraphBuilder();
  const x = builder.add("input", [], { name: "x", dtype: "f32", axes });
  let row = Array.from({ length: leaves }, (_, index) => {
    builder.origin = { path: `leaf.b${index}` };
    return builder.add("tanh", [builder.add("mul", [x, builder.constant(index + 1.5)], {})], {});
  });
  for (let level = 0; row.length > 1; level++) {
    builder.origin = { path: `sum.l${level}` };
    const pairs = Array.from({ length: Math.ceil(row.length / 2) }, (_, pair) =>
      row.slice(2 * pair, 2 * pair + 2),
    );
    row = pairs.map(([left, right]) =>
      right === undefined ? left! : builder.add("add", [left!, right], {}),
    );
  }
  return builder.finish("tree", [{ name: "y", node: row[0]! }]);
}

/** One value that so many others read, each of which is an output. */
export function fanGraph(readers: number): Graph {
  const builder = new GraphBuilder();
  const x = builder.add("input", [], { name: "x", dtype: "f32", axes });
  const shared = builder.add("tanh", [x], {});
  const outputs = Array.from({ length: readers }, (_, index) => ({
    name: `y${index}`,
    node: builder.add("mul", [shared, builder.constant(index + 2)], {}),
  }));
  return builder.finish("fan", outputs);
}
